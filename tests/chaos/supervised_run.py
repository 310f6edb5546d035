"""The program under test as a process, with a clock of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.chaos.deployed import SECRETS
from tests.cli.command import PYLFR

PATIENCE_S = 60.0


class Run:
    """``pylfr run`` as a service manager runs it: killed, frozen, and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clock = folder.parent / "clock"
        self.set_clock(ahead_s=0)
        self._skewed = skewed_clock(folder.parent)
        self.output = folder.parent / "output"
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    @property
    def has_skewed_clock(self) -> bool:
        """Whether its clock can be set."""
        return self._skewed is not None

    def set_clock(self, *, ahead_s: int) -> None:
        """Set the system's clock as the run sees it, from now on."""
        with self._clock.open("r+b" if self._clock.exists() else "wb") as file:
            file.write(ahead_s.to_bytes(8, sys.byteorder, signed=True))

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        skewed = {"LD_PRELOAD": str(self._skewed), "SKEWED_CLOCK": str(self._clock)} if self._skewed else {}
        with self.output.open("ab") as out:
            self.process = subprocess.Popen(
                [PYLFR, "run", "deployment.toml"],
                cwd=self._folder,
                stdout=out,
                stderr=out,
                env={**os.environ, **SECRETS, "COLUMNS": "300", **skewed},
            )
        self.starts += 1

    def send(self, number: signal.Signals) -> None:
        if self.is_alive():
            assert self.process is not None
            self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def end(self) -> None:
        """Ctrl-C, and its account."""
        self.send(signal.SIGINT)
        if self.process is not None:
            self.process.wait(PATIENCE_S)


def skewed_clock(base: Path) -> Path | None:
    """The library that skews the clock, compiled; None where there is no compiler."""
    compiler, library = shutil.which("cc"), base / "skewed_clock.so"
    if compiler is None:
        return None
    source = Path(__file__).with_name("skewed_clock.c")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library
