"""What only the decoder notices is an error too: it conceals the damage, gives a picture, and flags nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylfr.video.decoding import decoder_log
from pylfr.video.decoding.picture_options import AS_SENT
from tests.conditions.playing import play
from tests.conditions.recordings import FRAMES, plain


def test_the_decoding_process_hears_what_the_decoder_conceals(tmp_path: Path) -> None:
    """A picture of which the end is missing: JPEG files say nowhere how long they are."""
    path = plain("a.mjpeg", "mjpeg", coding={"bf": "0"})(tmp_path)
    assert play(path, AS_SENT, None, "process")[3] == ""
    path.write_bytes(path.read_bytes()[:-1000])
    watch, _, _, error = play(path, AS_SENT, None, "process")
    assert len(watch.times_s) == FRAMES
    assert "the decoder met damage in 1 places, the first at about 1.6 s: overread" in error


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("[h264 @ 0x55] error while decoding MB 3 2, bytestream -7\n", "error while decoding MB 3 2, bytestream -7"),
        ("[h264 @ 0x55] Reinit context to 96x64, pix_fmt: yuv420p\n[mjpeg @ 0x1] overread 8\n", "overread 8"),
        ("[mjpeg @ 0x55] EOI missing, emulating\n", None),
        ("[aac @ 0x55] illegal icc\n", None),
        ("error while decoding MB 1 1\n", None),
        ("", None),
    ],
)
def test_only_what_means_damage_to_pictures_is_a_complaint(said: str, expected: str | None) -> None:
    assert decoder_log.first_complaint(said) == expected


def test_nobody_listens_outside_a_decoding_process() -> None:
    assert decoder_log.complaint() is None
