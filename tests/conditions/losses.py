"""Damage at random to whole recordings of many kinds, and how much of it nobody is told: counted by kind, by seed.

``python -m tests.conditions.losses --tries 20`` damages each recording so often in each way. A try counts where the
pictures are not those of the whole file, and is unseen where the reader ends without an error all the same.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pylfr.errors import MediaError
from pylfr.video.decoding.decoder_log import hear_decoders
from pylfr.video.decoding.picture_options import AS_SENT, PictureOptions
from pylfr.video.open import open_file
from tests.conditions.recordings import Make, plain, with_sound
from tests.samples import NOON
from tests.video.clips import RATE_HZ
from tests.video.watches import RecordingWatch

_PACKET_BYTES = 188
_PICTURES = 0x100

Damage = Callable[[bytes, random.Random], bytes]


def lost_packets(count: int) -> Damage:
    """So many consecutive packets of a transport stream, of all its streams."""

    def damage(content: bytes, chance: random.Random) -> bytes:
        first = chance.randrange(4, len(content) // _PACKET_BYTES - count)
        return content[: first * _PACKET_BYTES] + content[(first + count) * _PACKET_BYTES :]

    return damage


def lost_of_pictures(count: int) -> Damage:
    """So many consecutive packets of the pictures alone: of a multiple of sixteen their counter says nothing."""

    def damage(content: bytes, chance: random.Random) -> bytes:
        every = [content[at : at + _PACKET_BYTES] for at in range(0, len(content), _PACKET_BYTES)]
        places = [place for place, packet in enumerate(every) if (packet[1] & 0x1F) << 8 | packet[2] == _PICTURES]
        first = chance.randrange(1, len(places) - count)
        lost = set(places[first : first + count])
        return b"".join(packet for place, packet in enumerate(every) if place not in lost)

    return damage


def _place(content: bytes, chance: random.Random, length: int) -> int:
    """Behind the headers at the beginning, before an index at the end."""
    least = len(content) // 8
    return chance.randrange(least, max(least + 1, 7 * least - length))


def zeroed(content: bytes, chance: random.Random) -> bytes:
    """Sectors that could not be read."""
    length = chance.choice((64, 512, 4096))
    at = _place(content, chance, length)
    return content[:at] + bytes(length) + content[at + length :]


def noise(content: bytes, chance: random.Random) -> bytes:
    """Other bytes in their place: what a coder could have written, where nothing checks it."""
    length = chance.choice((16, 512, 4096))
    at = _place(content, chance, length)
    return content[:at] + chance.randbytes(length) + content[at + length :]


def removed(content: bytes, chance: random.Random) -> bytes:
    length = chance.choice((64, 512, 4096))
    at = _place(content, chance, length)
    return content[:at] + content[at + length :]


def cut(content: bytes, chance: random.Random) -> bytes:
    return content[: _place(content, chance, 0)]


ANYWHERE: Mapping[str, Damage] = {"zeroed": zeroed, "noise": noise, "removed": removed, "cut off": cut}
PACKETS: Mapping[str, Damage] = {
    **{f"{count} packets": lost_packets(count) for count in (1, 16, 32)},
    **{f"{count} packets of pictures": lost_of_pictures(count) for count in (16, 32, 48)},
}

_FAST = {"movflags": "faststart"}
_NO_B = {"bf": "0"}
_QUIET = {"x265-params": "log-level=none"}
SOURCES: Mapping[str, Make] = {
    "H.264 in TS": plain("a.ts"),
    "H.264 in TS, small pictures": plain("a.ts", coding={**_NO_B, "crf": "51", "g": "30"}, frames=150),
    "H.264 in TS, key frames alone": plain("a.ts", coding={**_NO_B, "profile": "baseline"}),
    "H.264 in TS, large pictures": plain("a.ts", size=(320, 192)),
    "H.264 in TS, slices": plain("a.ts", coding={"x264-params": "slices=4"}, size=(160, 128)),
    "H.264 in TS with sound": with_sound("a.ts", 4),
    "H.264 in TS of constant rate": plain("a.ts", options={"muxrate": "3000000"}),
    "H.264 in TS with lengths": plain("a.ts", options={"omit_video_pes_length": "0"}),
    "H.265 in TS": plain("a.ts", "libx265", coding=_QUIET),
    "H.265 in TS, small pictures": plain("a.ts", "libx265", coding={**_QUIET, **_NO_B, "crf": "40"}),
    "MPEG-2 in TS": plain("a.ts", "mpeg2video", coding=_NO_B),
    "MPEG-2 in TS that looks ahead": plain("a.ts", "mpeg2video"),
    "MPEG-4 in TS": plain("a.ts", "mpeg4", coding=_NO_B),
    "MPEG-2 in PS": plain("a.mpg", "mpeg2video", coding=_NO_B),
    "H.264 in MP4": plain("a.mp4", options=_FAST),
    "H.264 in fragments": plain("a.mp4", options={"movflags": "frag_keyframe+empty_moov"}),
    "MPEG-4 in MP4": plain("a.mp4", "mpeg4", options=_FAST, coding=_NO_B),
    "JPEG in MOV": plain("a.mov", "mjpeg", options=_FAST, coding=_NO_B),
    "H.264 in MKV": plain("a.mkv"),
    "VP8 in WebM": plain("a.webm", "libvpx", coding=_NO_B),
    "VP9 in WebM": plain("a.webm", "libvpx-vp9", coding=_NO_B),
    "MPEG-4 in AVI": plain("a.avi", "mpeg4", coding=_NO_B),
    "JPEG in AVI": plain("a.avi", "mjpeg", coding=_NO_B),
    "H.264 in AVI": plain("a.avi"),
    "H.264 in FLV": plain("a.flv"),
    "H.264 in ASF": plain("a.asf", coding=_NO_B),
    "MPEG-4 in ASF": plain("a.asf", "mpeg4", coding=_NO_B),
    "H.264 alone": plain("a.h264"),
    "H.265 alone": plain("a.hevc", "libx265", coding=_QUIET),
    "JPEG alone": plain("a.mjpeg", "mjpeg", coding=_NO_B),
    "MPEG-2 alone": plain("a.m2v", "mpeg2video", coding=_NO_B),
    "VP8 in IVF": plain("a.ivf", "libvpx", coding=_NO_B),
}


@dataclass(frozen=True, kw_only=True)
class Played:
    """A digest of each picture that was due, how many were skipped or not due, and the error at the end."""

    pictures: tuple[str, ...]
    skipped: int
    error: str


def play(path: Path, rate_hz: float | None) -> Played:
    watch, error = RecordingWatch(rate_hz), ""
    found: list[str] = []
    is_raw = path.suffix in (".h264", ".hevc", ".mjpeg", ".m2v")
    options = PictureOptions(rate_hz=RATE_HZ) if is_raw else AS_SENT
    try:
        source = open_file(path, camera="gate", started_at=NOON, isolation="none", picture=options)
        found.extend(
            hashlib.sha256(b"".join(plane.tobytes() for plane in frame.planes)).hexdigest()
            for frame in source.watched(watch)
        )
    except MediaError as caught:
        error = str(caught)
    not_due = len(watch.asked) - len(found)
    return Played(pictures=tuple(found), skipped=watch.skipped_frames + not_due, error=error)


@dataclass(frozen=True, kw_only=True)
class Try:
    """One damage of one recording: how many pictures fewer came of it, how many others, and what was said."""

    source: str
    damage: str
    seed: int
    fewer: int
    others: int
    error: str

    @property
    def is_unseen(self) -> bool:
        return not self.error


def tries(source: str, damages: Mapping[str, Damage], seeds: range, rate_hz: float | None) -> Iterator[Try]:
    """Every try that changed something."""
    with tempfile.TemporaryDirectory() as folder:
        path = SOURCES[source](Path(folder))
        content, whole = path.read_bytes(), play(path, rate_hz)
        if whole.error:
            raise AssertionError(f"{source} is whole, and called damaged: {whole.error}")
        for damage, apply in damages.items():
            for seed in seeds:
                chance = random.Random(zlib.crc32(f"{source} {damage} {seed}".encode()))
                path.write_bytes(apply(content, chance))
                got = play(path, rate_hz)
                if got == whole:
                    continue
                yield Try(
                    source=source,
                    damage=damage,
                    seed=seed,
                    fewer=len(whole.pictures) + whole.skipped - len(got.pictures) - got.skipped,
                    others=len(set(got.pictures) - set(whole.pictures)),
                    error=got.error,
                )


def damages_of(source: str) -> Mapping[str, Damage]:
    return {**ANYWHERE, **(PACKETS if " in TS" in source else {})}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--rate", type=float, help="frames a second that are due; all without it")
    parser.add_argument("--source", default="", help="words of a recording's name")
    parser.add_argument("--damage", default="", help="words of a damage's name")
    given = parser.parse_args()
    # What the decoder says is heard as in a decoding process.
    hear_decoders()
    sys.stderr = sys.stdout
    total: Counter[str] = Counter()
    unseen: Counter[str] = Counter()
    lost = 0
    for source in SOURCES:
        if given.source not in source:
            continue
        damages = {name: damage for name, damage in damages_of(source).items() if given.damage in name}
        for each in tries(source, damages, range(given.seed, given.seed + given.tries), given.rate):
            total[each.damage] += 1
            if each.is_unseen:
                unseen[each.damage] += 1
                lost += each.fewer > 0
                print(f"{each.source}: {each.damage}, seed {each.seed}: {each.fewer} fewer, {each.others} others")
    for damage, count in total.items():
        print(f"{damage}: {unseen[damage]} of {count} unseen")
    print(f"all: {unseen.total()} of {total.total()} unseen, {lost} of them with pictures missing")


if __name__ == "__main__":
    main()
