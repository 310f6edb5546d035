"""The command ``pylfr`` and ``python -m pylfr``: Ctrl-C is answered in one line from the first moment on."""

from __future__ import annotations

import os
import signal
from types import FrameType


def main() -> None:
    """Run the command line, which takes a second to import: until then Ctrl-C ends the process where it is."""
    # A shell lets what it starts in the background ignore Ctrl-C: so it stays.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end_at_once)
    from pylfr.cli import main as run

    run()


def _end_at_once(_: int, __: FrameType | None) -> None:
    # An exception might be taken for a failed import by whatever imports just now.
    os.write(2, b"error interrupted before anything was done\n")
    os._exit(130)


if __name__ == "__main__":
    main()
