"""Units are found behind start codes and behind lengths, and the codec's header says which."""

from __future__ import annotations

import pytest

from pylfr.video.decoding.nal_units import length_bytes_of, units_behind_lengths


@pytest.mark.parametrize(
    ("codec", "extradata", "expected"),
    [
        ("h264", b"\1\x64\0\x1f\xff", 4),
        ("hevc", b"\1" + bytes(20) + b"\x0f", 4),
        ("h264", b"\0\0\0\1\x67", 0),
        ("vp9", b"\1" * 9, 0),
        ("h264", None, 0),
    ],
)
def test_the_header_of_a_codec_says_how_long_lengths_are(codec: str, extradata: bytes | None, expected: int) -> None:
    assert length_bytes_of(codec, extradata) == expected


def test_units_are_found_even_where_the_last_is_cut_off() -> None:
    assert list(units_behind_lengths(b"\0\2ab\0\3c", 2)) == [(2, 4), (6, 9)]
    assert list(units_behind_lengths(b"\0\0", 2)) == []
