from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pylfr.errors import SinkError
from pylfr.sinks.jsonl import open_jsonl
from tests.samples import sample_alert
from tests.sinks.test_record import recorded_alert

# Fills a file up to a limit that the system enforces, and says what the sink said.
FILL_UP = """
import resource, signal, sys
from pylfr.errors import SinkError
from pylfr.sinks.jsonl import open_jsonl
from tests.sinks.test_record import recorded_alert

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))
sink = open_jsonl(sys.argv[1])
for number in range(10):
    try:
        sink.send(recorded_alert())
    except SinkError as error:
        print(number, error)
        break
"""


def lines(path: Path) -> list[str]:
    return [json.loads(line)["entry"] for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_alert_is_on_the_disk_as_a_line_when_send_returns(tmp_path: Path) -> None:
    sink = open_jsonl(tmp_path / "alerts.jsonl")
    for number, entry in enumerate(["Ada", "Zoë", "Émile"], start=1):
        sink.send(recorded_alert(sample_alert(entry=entry)))
        assert len(lines(tmp_path / "alerts.jsonl")) == number
    sink.close()
    assert lines(tmp_path / "alerts.jsonl") == ["Ada", "Zoë", "Émile"]


def test_without_alerts_the_file_is_there_and_empty(tmp_path: Path) -> None:
    open_jsonl(tmp_path / "alerts.jsonl").close()
    assert (tmp_path / "alerts.jsonl").read_bytes() == b""


def test_what_was_there_before_stays(tmp_path: Path) -> None:
    for entry in ("Ada", "Bea"):
        sink = open_jsonl(tmp_path / "alerts.jsonl")
        sink.send(recorded_alert(sample_alert(entry=entry)))
        sink.close()
    assert lines(tmp_path / "alerts.jsonl") == ["Ada", "Bea"]


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    open_jsonl(tmp_path / "alerts.jsonl").close()
    assert (tmp_path / "alerts.jsonl").stat().st_mode & 0o077 == 0


def test_an_alert_after_a_power_cut_starts_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_text('{"type": "al')
    sink = open_jsonl(path)
    sink.send(recorded_alert())
    sink.close()
    broken, whole = path.read_text().splitlines()
    assert broken == '{"type": "al'
    assert json.loads(whole)["entry"] == "Ada"


def test_a_disk_that_fills_keeps_whole_lines_and_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    found = subprocess.run([sys.executable, "-c", FILL_UP, str(path)], capture_output=True, text=True, check=True)
    number, _, message = found.stdout.partition(" ")
    assert int(number) > 0
    assert message == f"an alert cannot be written to {path} (File too large): make room on its disk\n"
    assert lines(path) == ["Ada"] * int(number)


def test_a_failed_sync_takes_the_line_away_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "alerts.jsonl"
    sink = open_jsonl(path)
    sink.send(recorded_alert())

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SinkError, match=r"alerts\.jsonl \(No space left on device\): make room"):
        sink.send(recorded_alert(sample_alert(entry="Bea")))
    monkeypatch.undo()
    sink.send(recorded_alert(sample_alert(entry="Cleo")))
    sink.close()
    assert lines(path) == ["Ada", "Cleo"]


def test_a_full_device_is_an_error_and_not_a_loss() -> None:
    sink = open_jsonl("/dev/full")
    with pytest.raises(SinkError, match=r"/dev/full \(No space left on device\)"):
        sink.send(recorded_alert())
    sink.close()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"absent/alerts\.jsonl \(No such file or directory\)"):
        open_jsonl(tmp_path / "absent" / "alerts.jsonl")


def test_nothing_is_written_after_closing(tmp_path: Path) -> None:
    sink = open_jsonl(tmp_path / "alerts.jsonl")
    sink.close()
    sink.close()
    with pytest.raises(SinkError, match="the sink is closed"):
        sink.send(recorded_alert())
