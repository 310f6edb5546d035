"""What a person says about a camera's pictures where the stream says nothing, or the wrong thing."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

QuarterTurn = Literal[0, 90, 180, 270]

# Wider or narrower pixels than these no camera has.
_MOST_ASPECT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOptions:
    """What a camera's stream does not say. None, or 0 degrees, leaves it to the stream.

    ``stream``: which video stream, by FFmpeg's number. ``rotate``: degrees clockwise, for a camera that hangs sideways.
    ``sample_aspect``: width over height of one pixel, for a camera that does not tag it. ``rate_hz``: frames a second
    of a recording that carries no times, or wrong ones. Without ``loop_filter`` the edges of coded blocks are not
    smoothed, nor in pictures that are made from these: decoding is cheaper; docs/accuracy.md has what it does.
    """

    stream: int | None = None
    rotate: QuarterTurn = 0
    sample_aspect: Fraction | None = None
    rate_hz: float | None = None
    loop_filter: bool = True

    def __post_init__(self) -> None:
        if self.stream is not None and self.stream < 0:
            raise ValueError(f"stream must be the number of a stream, from 0, got {self.stream}")
        if self.rotate not in get_args(QuarterTurn):
            raise ValueError(f"rotate must be 0, 90, 180 or 270 degrees clockwise, got {self.rotate}")
        if self.rate_hz is not None and not 0 < self.rate_hz <= 1000:
            raise ValueError(f"frame_rate must be more than 0 and at most 1000 frames a second, got {self.rate_hz}")
        aspect = self.sample_aspect
        if aspect is not None and not Fraction(1, _MOST_ASPECT) <= aspect <= _MOST_ASPECT:
            raise ValueError(f"sample_aspect must be between 1:{_MOST_ASPECT} and {_MOST_ASPECT}:1, got {aspect}")

    @property
    def decoder_settings(self) -> dict[str, str]:
        """What FFmpeg's decoder is to be told, by its names."""
        return {} if self.loop_filter else {"skip_loop_filter": "all"}

    def to_json(self) -> str:
        """One line that ``from_json`` reads again."""
        aspect = self.sample_aspect
        return json.dumps(
            {
                "stream": self.stream,
                "rotate": self.rotate,
                "sample_aspect": None if aspect is None else f"{aspect.numerator}:{aspect.denominator}",
                "rate_hz": self.rate_hz,
                # Only where it is off: what was signed before there was a choice reads as it did.
                **({} if self.loop_filter else {"loop_filter": False}),
            }
        )

    @classmethod
    def from_json(cls, line: str) -> PictureOptions:
        """The options that ``to_json`` wrote. Raises ``ValueError`` or ``TypeError`` for others."""
        given = json.loads(line)
        aspect = given.pop("sample_aspect")
        return cls(**given, sample_aspect=None if aspect is None else parse_aspect(aspect))


AS_SENT = PictureOptions()


def parse_aspect(text: str) -> Fraction:
    """The aspect that ``text`` is: "2:1", "16:11". Raises ``ValueError`` for anything else."""
    found = re.fullmatch(r"([1-9]\d{0,4}):([1-9]\d{0,4})", text.strip())
    if found is None:
        raise ValueError(f"an aspect is width:height of one pixel, like '2:1' or '16:11', got {text!r}")
    return Fraction(int(found[1]), int(found[2]))
