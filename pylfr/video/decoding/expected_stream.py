"""What a camera's stream was when it was authorised: its codec and its size. Another stream is not analysed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from av.video.codeccontext import VideoCodecContext

_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
_CODEC = re.compile(r"[a-z][a-z0-9_]*")
# Codecs have several names; FFmpeg's is the one that is compared.
_OTHER_NAMES = {"h265": "hevc", "avc": "h264", "avc1": "h264", "hvc1": "hevc"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedStream:
    """The stream that is expected; what is None may be anything. ``size_px`` is width and height as coded."""

    codec: str | None = None
    size_px: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.codec is None and self.size_px is None:
            raise ValueError("a stream is pinned by its codec, its size, or both, got neither")

    def __str__(self) -> str:
        return described(self.codec, self.size_px)

    @classmethod
    def parse(cls, text: str) -> ExpectedStream:
        """The pin that ``text`` is: "h264 1920x1080", "h264" or "1920x1080". Raises ``ValueError`` for other words."""
        codec: str | None = None
        size: tuple[int, int] | None = None
        for word in text.casefold().split():
            if size is None and (found := _SIZE.fullmatch(word)):
                size = int(found[1]), int(found[2])
            elif codec is None and _CODEC.fullmatch(word):
                codec = _OTHER_NAMES.get(word, word)
            else:
                raise ValueError(f"a stream is a codec and a size, like 'h264 1920x1080', got {text!r}")
        return cls(codec=codec, size_px=size)

    def difference(self, codec: str, size_px: tuple[int, int]) -> str | None:
        """How the stream that comes is another one, both named; None where it is this one. A size of 0 is not known."""
        is_same = self.codec in (None, codec) and (self.size_px in (None, size_px) or 0 in size_px)
        return None if is_same else f"authorised is {self}, it sends {described(codec, size_px)}"


def codec_of(context: VideoCodecContext) -> str:
    """FFmpeg's name of what was coded, whichever of its decoders reads it."""
    return str(context.codec.canonical_name)


def described(codec: str | None, size_px: tuple[int, int] | None) -> str:
    """A stream in words, as a deployment file has it: "h264 1920x1080"."""
    size = f"{size_px[0]}x{size_px[1]}" if size_px is not None else ""
    return " ".join(filter(None, (codec, size)))
