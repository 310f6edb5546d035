"""The command ``pylfr`` and ``python -m pylfr``: Ctrl-C is answered in one line from the first moment on."""

from __future__ import annotations

import os
import signal
from types import FrameType

from pylfr._internal.limits import limit_met
from pylfr._internal.under_limit import run_under_limit, say_ended, speak


def main() -> None:
    """Run the command line, which takes a second to import: until then Ctrl-C ends the process where it is."""
    # A shell lets what it starts in the background ignore Ctrl-C: so it stays.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end_at_once)
    run_under_limit(_run)


def _run() -> None:
    try:
        from pylfr.cli import main as run
    except Exception as error:
        met = limit_met(error)
        if not met:
            say_ended(of_a_limit=False)
            raise
        speak(f"error: {met}")
        say_ended(of_a_limit=True)
        os._exit(1)
    run()


def _end_at_once(_: int, __: FrameType | None) -> None:
    # An exception might be taken for a failed import by whatever imports just now.
    speak("error interrupted before anything was done")
    say_ended(of_a_limit=False)
    os._exit(130)


if __name__ == "__main__":
    main()
