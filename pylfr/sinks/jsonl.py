"""Alerts in a file, one JSON object per line, synced to the disk before ``send`` returns."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from pylfr.errors import SinkError
from pylfr.sinks.record import alert_json
from pylfr.types import Alert, Recorded


class JsonlSink:
    """Appends whole lines or nothing. Made by ``open_jsonl``."""

    def __init__(self, path: Path, descriptor: int, *, pictures: bool) -> None:
        self._path = path
        self._descriptor = descriptor
        self._pictures = pictures

    def send(self, recorded: Recorded[Alert]) -> None:
        if self._descriptor < 0:
            raise SinkError(f"alert {recorded.value.id} cannot be written to {self._path}: the sink is closed")
        _append_line(self._descriptor, self._path, alert_json(recorded, pictures=self._pictures))

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_jsonl(path: Path | str, *, pictures: bool = False) -> JsonlSink:
    """A sink that appends to ``path``, created for its owner alone where it is missing.

    Raises ``SinkError`` where it cannot be opened for writing.
    """
    path = Path(path)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise SinkError(
            f"alerts cannot be written to {path} ({error.strerror}): give a file in a folder to write in"
        ) from error
    sink = JsonlSink(path, descriptor, pictures=pictures)
    try:
        # Shared with other writers: the sweeper erases nothing of a line that is being written.
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        # A power cut may leave a last line without its end: the next alert starts a line of its own.
        size = os.lseek(descriptor, 0, os.SEEK_END)
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            _append_line(descriptor, path, "")
    except OSError as error:
        sink.close()
        raise SinkError(f"alerts cannot be appended to {path} ({error.strerror}): give a regular file") from error
    except SinkError:
        sink.close()
        raise
    return sink


def _append_line(descriptor: int, path: Path, text: str) -> None:
    """Append and sync; a line that did not fit is cut off again."""
    line = memoryview(text.encode() + b"\n")
    begun_at = os.lseek(descriptor, 0, os.SEEK_END)
    try:
        written = 0
        while written < len(line):
            written += os.write(descriptor, line[written:])
        os.fsync(descriptor)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, begun_at)
        raise SinkError(f"an alert cannot be written to {path} ({error.strerror}): make room on its disk") from error
