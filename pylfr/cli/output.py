"""stdout and stderr of a program that goes on when nobody reads them any more."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO


class SurvivingStream:
    """A text stream whose reader may go away: what is written from then on is lost, and ``on_lost`` is told once."""

    def __init__(self, stream: TextIO, name: str, on_lost: Callable[[str], None]) -> None:
        self._stream = stream
        self._name = name
        self._on_lost = on_lost
        self._is_lost = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            self._lose()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._lose()

    def _lose(self) -> None:
        if self._is_lost:
            return
        self._is_lost = True
        # What is buffered, and what libraries write past this object, must not fail again.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        self._on_lost(self._name)


@contextmanager
def surviving_output(on_lost: Callable[[str], None]) -> Iterator[None]:
    """Let stdout and stderr survive their readers; ``on_lost`` is called with the name of the one that is lost.

    It may raise, which ends what was being written. Of two that are nested the inner one hears.
    """
    before = sys.stdout, sys.stderr
    sys.stdout = SurvivingStream(_bare(sys.stdout), "stdout", on_lost)
    sys.stderr = SurvivingStream(_bare(sys.stderr), "stderr", on_lost)
    try:
        yield
    finally:
        ours = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = before
        for stream in ours:
            stream.flush()


def _bare(stream: TextIO) -> TextIO:
    return stream._stream if isinstance(stream, SurvivingStream) else stream
