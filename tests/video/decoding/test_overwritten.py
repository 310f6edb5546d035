"""Zeros and markers that no coder writes are found; what cameras do write is not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pylfr.video.decoding.overwritten import is_overwritten, torn_jpeg

ZEROS = bytes(64)
CODED = bytes(range(2, 200))


@pytest.mark.parametrize("codec", ["h264", "hevc", "mpeg2video", "mpeg4"])
def test_zeros_inside_a_picture_are_found_and_stuffing_is_not(codec: str) -> None:
    assert is_overwritten(codec, CODED + ZEROS + CODED)
    assert not is_overwritten(codec, CODED + ZEROS + b"\1" + CODED)
    assert not is_overwritten(codec, CODED + ZEROS + b"\1" + CODED + ZEROS)
    assert is_overwritten(codec, CODED + ZEROS + b"\1" + CODED + ZEROS + b"\2")
    assert not is_overwritten(codec, b"")


def test_units_behind_their_lengths_may_be_filled_up_at_their_end() -> None:
    def behind_lengths(*units: bytes) -> bytes:
        return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)

    assert not is_overwritten("h264", behind_lengths(CODED + ZEROS, CODED + ZEROS, CODED), length_bytes=4)
    assert is_overwritten("h264", behind_lengths(CODED, CODED + ZEROS + CODED), length_bytes=4)


def test_arithmetic_coders_write_some_zeros_and_other_codecs_any() -> None:
    assert is_overwritten("vp9", CODED + ZEROS + CODED)
    assert not is_overwritten("vp9", CODED + bytes(40) + CODED)
    assert not is_overwritten("rawvideo", bytes(10_000) + CODED)


def jpeg(options: dict[str, object], *, flat: bool = False) -> bytes:
    content = io.BytesIO()
    levels = np.random.default_rng(1).integers(0, 255, (96, 128, 3), np.uint8)
    picture = Image.new("RGB", (1024, 1024)) if flat else Image.fromarray(levels)
    picture.save(content, "JPEG", quality=90, **options)
    return content.getvalue()


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}, {"restart_marker_blocks": 3}])
def test_a_jpeg_is_whole_however_it_was_coded_and_torn_where_bytes_are_missing(options: dict[str, object]) -> None:
    whole = jpeg(options)
    assert torn_jpeg(whole) is None
    # What cameras do: no last marker, fillers before it, a second first marker, and padding behind.
    for said in (whole[:-2], whole[:-2] + b"\xff\xff\xd9", b"\xff\xd8" + whole, whole + bytes(100), whole + whole):
        assert torn_jpeg(said) is None
    assert torn_jpeg(jpeg(options, flat=True)) is None
    middle = len(whole) // 2
    assert torn_jpeg(whole[:middle] + whole) == "another picture begins inside it"
    if "restart_marker_blocks" in options:
        cut = whole[: whole.index(b"\xff\xd1")] + whole[whole.index(b"\xff\xd3") :]
        assert torn_jpeg(cut) == "its restart markers are out of order"
    if "progressive" not in options:
        assert torn_jpeg(whole[:middle] + ZEROS + whole[middle:]) == "zeros lie in it"


def test_what_is_no_jpeg_at_all_is_left_to_the_decoder() -> None:
    assert torn_jpeg(b"") is None
    assert torn_jpeg(CODED) is None
    assert torn_jpeg(b"\xff\xd8\xff\xd9\0\0") == "it ends before its picture"
    assert torn_jpeg(b"\xff\xd8\xff\xe0\0\2zzzz") == "its segments do not follow one another"
