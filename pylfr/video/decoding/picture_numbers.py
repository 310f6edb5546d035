"""The numbers that coders give their pictures: one that is missing was lost, whatever the container knows of it.

A recorder that leaves a picture out before it codes it leaves no gap; a line that loses one does. H.264 (ITU-T H.264,
7.3), H.265 (ITU-T H.265, 7.3) and MPEG-2 (ISO/IEC 13818-2, 6.2) as byte streams with start codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from pylfr.video.decoding.bit_reader import BitReader, TooShortError

# Headers come first: only this much of a packet is searched for them.
_SEARCHED_BYTES = 8192
_SLICE_BYTES = 64
_START = b"\0\0\1"

# Fewer pictures do not show how far apart their numbers are.
_SHORTEST_RUN = 3

# Counts of pictures that were right show that a coder counts; one that leaps was set.
_LEAST_AGREED = 2
_MOST_UNCOUNTED = 1000

_WIDEST = 16
_HIGH_PROFILES = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    """The number of a picture, out of ``wrap``, and whether a run begins with it, one that depends on none before it.

    Two runs that follow one another have different ``run`` numbers, where they have any. ``before``: how many pictures
    the coder had counted before the run.
    """

    number: int
    wrap: int
    begins: bool
    run: int | None = None
    before: int | None = None


class _Parser(Protocol):
    def picture(self, content: bytes) -> _Picture | None:
        """The number of the picture that begins in ``content``; None where it has none that is followed."""
        ...


class PictureNumbers:
    """Follows the numbers of one stream's packets, in the order of decoding. ``codec`` is FFmpeg's name."""

    def __init__(self, codec: str) -> None:
        kinds: dict[str, type[_Parser]] = {"h264": _H264, "hevc": _H265, "mpeg2video": _Mpeg2, "mpeg1video": _Mpeg2}
        self._parser: _Parser | None = kinds[codec]() if codec in kinds else None
        self._numbers: set[int] = set()
        self._last = 0
        self._run: int | None = None
        self._before: int | None = None
        self._agreed = 0

    def take(self, packet: memoryview) -> int:
        """Take one packet; how many pictures are missing of the run that it ends, if it ends one."""
        if self._parser is None:
            return 0
        try:
            picture = self._parser.picture(bytes(packet[:_SEARCHED_BYTES]))
        except TooShortError:
            picture = None
        if picture is None:
            return 0
        missing = 0
        if picture.begins:
            has_only_begun = len(self._numbers) == 1
            uncounted = self._uncounted(picture.before)
            missing = max(uncounted, self.end()) + (
                has_only_begun and picture.run is not None and picture.run == self._run
            )
            self._run, self._last = picture.run, 0
        half = picture.wrap // 2
        self._last += (picture.number - self._last + half) % picture.wrap - half
        # A number that comes again in a run belongs to the next one, whose first picture was lost.
        missing += self._last in self._numbers and not isinstance(self._parser, _Mpeg2)
        self._numbers.add(self._last)
        return missing

    def _uncounted(self, before: int | None) -> int:
        """How many pictures of the run that ends its coder counted beyond those that came, once its count was right."""
        last, self._before = self._before, before
        if last is None or before is None:
            return 0
        missing = before - last - len(self._numbers)
        self._agreed += missing == 0
        return missing if self._agreed >= _LEAST_AGREED and 0 < missing < _MOST_UNCOUNTED else 0

    def end(self) -> int:
        """How many are missing of the last run."""
        places, self._numbers = sorted(self._numbers), set()
        if len(places) < _SHORTEST_RUN:
            return 0
        step = min(after - before for before, after in pairwise(places))
        return (places[-1] - places[0]) // step + 1 - len(places)


class _H264:
    """Order counts where they are sent, and otherwise the numbers of the pictures that others are made from."""

    def __init__(self) -> None:
        self._sequences: dict[int, _Sequence] = {}
        self._sequence_of: dict[int, int] = {}

    def picture(self, content: bytes) -> _Picture | None:
        for unit in _units(content):
            kind = unit[0] & 0x1F
            if kind == 7:
                self._sequence(BitReader(unit[1:]))
            elif kind == 8:
                bits = BitReader(unit[1:])
                self._sequence_of[bits.unsigned()] = bits.unsigned()
            elif kind in (1, 5):
                return self._slice(BitReader(unit[1 : 1 + _SLICE_BYTES]), kind == 5, unit[0] & 0x60 != 0)
        return None

    def _sequence(self, bits: BitReader) -> None:
        profile = bits.read(8)
        bits.read(16)
        number, planes = bits.unsigned(), False
        if profile in _HIGH_PROFILES:
            chroma = bits.unsigned()
            planes = chroma == 3 and bits.flag()
            bits.unsigned(), bits.unsigned(), bits.read(1)
            if bits.flag():
                for place in range(12 if chroma == 3 else 8):
                    if bits.flag():
                        _pass_scaling_list(bits, 16 if place < 6 else 64)
        frame_bits, order_kind, order_bits = _width(bits), bits.unsigned(), 0
        if order_kind == 0:
            order_bits = _width(bits)
        elif order_kind == 1:
            bits.read(1), bits.signed(), bits.signed()
            for _ in range(bits.unsigned()):
                bits.signed()
        bits.unsigned()
        may_skip = bits.flag()
        bits.unsigned(), bits.unsigned()
        self._sequences[number] = _Sequence(
            planes=planes, frame_bits=frame_bits, order_bits=order_bits, may_skip=may_skip, has_fields=not bits.flag()
        )

    def _slice(self, bits: BitReader, is_instant: bool, is_reference: bool) -> _Picture | None:
        bits.unsigned(), bits.unsigned()
        sequence = self._sequences.get(self._sequence_of.get(bits.unsigned(), -1))
        if sequence is None or sequence.may_skip:
            return None
        if sequence.planes:
            bits.read(2)
        frame = bits.read(sequence.frame_bits)
        if sequence.has_fields and bits.flag():
            return None
        run = bits.unsigned() if is_instant else None
        if sequence.order_bits:
            order = bits.read(sequence.order_bits)
            return _Picture(number=order, wrap=1 << sequence.order_bits, begins=is_instant, run=run)
        if not is_reference:
            return None
        return _Picture(number=frame, wrap=1 << sequence.frame_bits, begins=is_instant, run=run)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sequence:
    planes: bool
    frame_bits: int
    order_bits: int
    may_skip: bool
    has_fields: bool


class _H265:
    def __init__(self) -> None:
        self._order_bits: dict[int, tuple[int, bool]] = {}
        self._sets: dict[int, tuple[int, bool, int]] = {}

    def picture(self, content: bytes) -> _Picture | None:
        for unit in _units(content):
            kind = unit[0] >> 1 & 0x3F
            if kind == 33:
                self._sequence(BitReader(unit[2:]))
            elif kind == 34:
                bits = BitReader(unit[2:])
                number, sequence = bits.unsigned(), bits.unsigned()
                bits.read(1)
                self._sets[number] = sequence, bits.flag(), bits.read(3)
            elif kind < 10 or 16 <= kind <= 21:
                return self._slice(BitReader(unit[2 : 2 + _SLICE_BYTES]), kind)
        return None

    def _sequence(self, bits: BitReader) -> None:
        bits.read(4)
        layers = bits.read(3)
        bits.read(1 + 88 + 8)
        present = [(bits.flag(), bits.flag()) for _ in range(layers)]
        if layers:
            bits.read(2 * (8 - layers))
        for has_profile, has_level in present:
            bits.read(88 * has_profile + 8 * has_level)
        number, planes = bits.unsigned(), False
        if bits.unsigned() == 3:
            planes = bits.flag()
        bits.unsigned(), bits.unsigned()
        if bits.flag():
            bits.unsigned(), bits.unsigned(), bits.unsigned(), bits.unsigned()
        bits.unsigned(), bits.unsigned()
        self._order_bits[number] = _width(bits), planes

    def _slice(self, bits: BitReader, kind: int) -> _Picture | None:
        bits.read(1)
        if kind >= 16:
            bits.read(1)
        sequence, has_output, extra = self._sets.get(bits.unsigned(), (-1, False, 0))
        if sequence not in self._order_bits:
            return None
        order_bits, planes = self._order_bits[sequence]
        if kind in (19, 20):
            return _Picture(number=0, wrap=1 << order_bits, begins=True)
        bits.read(extra)
        bits.unsigned()
        bits.read(has_output + 2 * planes)
        return _Picture(number=bits.read(order_bits), wrap=1 << order_bits, begins=16 <= kind <= 18)


class _Mpeg2:
    def __init__(self) -> None:
        self._rate_hz = 0

    def picture(self, content: bytes) -> _Picture | None:
        sequence = content.find(b"\0\0\1\xb3")
        if 0 <= sequence < len(content) - 8:
            self._rate_hz = _MPEG2_RATES_HZ.get(content[sequence + 7] & 0x0F, 0)
        group = content.find(b"\0\0\1\xb8")
        place = content.find(b"\0\0\1\0")
        if place < 0 or place + 6 > len(content):
            return None
        number = content[place + 4] << 2 | content[place + 5] >> 6
        before = self._counted(BitReader(content[group + 4 : group + 8])) if group >= 0 else None
        return _Picture(number=number, wrap=1024, begins=group >= 0, before=before)

    def _counted(self, bits: BitReader) -> int | None:
        """The pictures before a group, by its time code; None where that leaves numbers out."""
        if bits.flag() or not self._rate_hz:
            return None
        hours, minutes, _ = bits.read(5), bits.read(6), bits.read(1)
        return ((hours * 60 + minutes) * 60 + bits.read(6)) * self._rate_hz + bits.read(6)


# Pictures that a time code counts to a second, by frame_rate_code (ISO/IEC 13818-2, table 6-4).
_MPEG2_RATES_HZ = {1: 24, 2: 24, 3: 25, 4: 30, 5: 30, 6: 50, 7: 60, 8: 60}


def _units(content: bytes) -> list[bytes]:
    """The units between start codes, their stuffing removed."""
    parts = content.split(_START)[1:]
    return [part.replace(b"\0\0\3", b"\0\0") for part in parts if len(part) > 2]


def _width(bits: BitReader) -> int:
    """How many bits a number takes: 4 to 16."""
    width = bits.unsigned() + 4
    if width > _WIDEST:
        raise TooShortError
    return width


def _pass_scaling_list(bits: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last
