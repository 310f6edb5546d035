"""A recording that plays again is wound back where its index allows it, and gives the same each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylfr.video.decoding import file_layout
from pylfr.video.decoding.asf_packets import damage_of_asf
from pylfr.video.decoding.backend import ON_CPU
from pylfr.video.decoding.container import open_container
from pylfr.video.decoding.picture_options import AS_SENT
from pylfr.video.decoding.recording_file import OpenRecording, RecordingFile
from tests.conditions.recordings import plain
from tests.video.decoding.test_frame_skipping import write


@pytest.mark.parametrize(("suffix", "is_wound_back"), [("mp4", True), ("mkv", False), ("ts", False)])
def test_what_has_an_index_is_opened_once_for_all_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, is_wound_back: bool
) -> None:
    path = write(tmp_path / f"a.{suffix}", "pyramid of B-frames", frames=30)
    opened = []

    def counted(descriptor: int, **given: object) -> object:
        opened.append(descriptor)
        return open_container(descriptor, **given)  # type: ignore[arg-type]

    monkeypatch.setattr("pylfr.video.decoding.recording_file.open_container", counted)
    passes = []
    with OpenRecording(
        RecordingFile(path=path, camera="gate", decoding=ON_CPU, options=AS_SENT, threads=1)
    ) as recording:
        for _ in range(3):
            with recording.part(0) as (container, stream):
                pictures = [picture for packet in container.demux(stream) for picture in packet.decode()]
                passes.append([(picture.pts, bytes(picture.planes[0])) for picture in pictures])
    assert len(passes[0]) == 30
    assert passes[0] == passes[1] == passes[2]
    assert len(opened) == (1 if is_wound_back else 3)


def test_one_that_is_left_in_the_middle_is_opened_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", "pyramid of B-frames", frames=30)

    def leave(recording: OpenRecording) -> None:
        with recording.part(0) as (container, stream):
            next(container.decode(stream))
            raise ValueError("enough")

    with OpenRecording(
        RecordingFile(path=path, camera="gate", decoding=ON_CPU, options=AS_SENT, threads=1)
    ) as recording:
        with pytest.raises(ValueError, match="enough"):
            leave(recording)
        with recording.part(0) as (container, stream):
            assert sum(1 for _ in container.decode(stream)) == 30


def test_the_packets_of_an_asf_file_are_read_once_and_only_when_its_damage_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = plain("a.asf", "mpeg4", coding={"bf": "0"})(tmp_path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8192] = bytes(8192)
    path.write_bytes(content)
    asked = []

    def counted(descriptor: int) -> str | None:
        asked.append(descriptor)
        return damage_of_asf(descriptor)

    monkeypatch.setattr(file_layout, "damage_of_asf", counted)
    with OpenRecording(
        RecordingFile(path=path, camera="gate", decoding=ON_CPU, options=AS_SENT, threads=1)
    ) as recording:
        with recording.part(0):
            assert not asked
        assert any("packets of the file are damaged" in words for words in recording.damage())
        assert recording.damage() == recording.damage()
    assert len(asked) == 1
