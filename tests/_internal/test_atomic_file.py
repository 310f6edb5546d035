"""A file is whole or not there; what a crash leaves is swept, and what somebody still writes is not."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from pylfr._internal.atomic_file import PART, erase, sweep_parts, write_result, write_together, write_whole


def test_it_is_written_for_its_owner_alone_in_place_of_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "list"
    for content in (b"", b"one", b"another"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_where_it_cannot_be_written_what_was_there_stays_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(tmp_path / "list", b"one")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "list", b"another")
    assert (tmp_path / "list").read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [tmp_path / "list"]
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "missing" / "list", b"")


def test_several_are_written_together_or_what_was_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write_together({one: b"1", two: b"2"})
    assert (one.read_bytes(), two.read_bytes()) == (b"1", b"2")
    assert one.stat().st_mode & 0o777 == 0o600
    synced, real = [], os.fsync

    def full(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_together({one: b"3", two: b"4"})
    assert (one.read_bytes(), two.read_bytes()) == (b"1", b"2")
    assert sorted(tmp_path.iterdir()) == [one, two]


def test_a_result_appears_whole_or_not_at_all_and_as_any_new_file(tmp_path: Path) -> None:
    path, link = tmp_path / "a.json", tmp_path / "link"
    link.symlink_to(path)
    for content in (b"one", b"another"):
        write_result(link, content)
        assert path.read_bytes() == content
    (tmp_path / "plain").write_bytes(b"")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert link.is_symlink()
    with pytest.raises(FileNotFoundError):
        write_result(tmp_path / "missing" / "a.json", b"")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.json", "link", "plain"]


def test_a_result_goes_into_a_pipe_and_not_in_its_place(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_result(pipe, b"one")
    assert os.read(reader, 10) == b"one"
    os.close(reader)
    assert pipe.is_fifo()


def test_what_a_crash_left_is_swept_and_nothing_of_anybody_else(tmp_path: Path) -> None:
    for name in (f".list.x7{PART}", f"list{PART}", ".other.part", "list"):
        (tmp_path / name).write_bytes(b"half")
    assert list(sweep_parts(tmp_path)) == [f".list.x7{PART}"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([f"list{PART}", ".other.part", "list"])
    assert list(sweep_parts(tmp_path)) == []


def test_what_somebody_still_writes_is_not_swept(tmp_path: Path) -> None:
    path = tmp_path / f".list.x7{PART}"
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert list(sweep_parts(tmp_path)) == []
        assert path.exists()
    assert list(sweep_parts(tmp_path)) == [path.name]


def test_a_sweeper_that_comes_between_making_and_locking_costs_one_more_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    swept: list[Path] = []

    def swept_first(descriptor: int, operation: int) -> None:
        if not swept:
            swept.extend(tmp_path.glob(f".*{PART}"))
            swept[0].unlink()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", swept_first)
    write_whole(tmp_path / "list", b"one")
    assert (len(swept), (tmp_path / "list").read_bytes()) == (1, b"one")


def test_half_of_an_erasure_is_finished_by_the_sweeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plain"
    path.write_bytes(b"a template")
    erase(path)
    assert list(tmp_path.iterdir()) == []

    path.write_bytes(b"a template")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        erase(path)
    assert not path.exists()
    assert len(list(sweep_parts(tmp_path))) == 1
    assert list(tmp_path.iterdir()) == []
