"""Runs the installed ``pylfr`` command as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PYLFR = Path(sys.executable).parent / "pylfr"


def pylfr(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The finished command, its output captured as text."""
    return subprocess.run(
        [str(PYLFR), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "COLUMNS": "200", **(environment or {})},
    )
