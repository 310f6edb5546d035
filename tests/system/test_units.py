"""The systemd units are valid, start what exists, and leave a service little that it could do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pylfr.cli import COMMANDS
from tests.cli.command import PYLFR
from tests.docs.page import ROOT

UNITS = sorted((ROOT / "deploy/systemd").iterdir())
# Of 10; systemd calls 2 OK.
MOST_EXPOSED = 2.0


@pytest.fixture
def installed(tmp_path: Path) -> list[Path]:
    """The units of one deployment, with the installed program."""
    made = []
    for unit in UNITS:
        made.append(tmp_path / unit.name.replace("@", "@square"))
        made[-1].write_text(unit.read_text().replace("/opt/pylfr/bin/pylfr", str(PYLFR)))
    return made


def analyse(*words: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze") or pytest.skip("systemd-analyze is not installed (Debian's systemd)")
    return subprocess.run([program, *words], capture_output=True, text=True, check=False)


def test_systemd_finds_nothing_wrong_with_the_units(installed: list[Path]) -> None:
    done = analyse("verify", *installed)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "square" in line]
    assert complaints == []
    assert done.returncode == 0, done.stderr


def test_a_service_is_hardly_exposed(installed: list[Path]) -> None:
    for unit in installed:
        if unit.suffix == ".service":
            done = analyse("security", "--offline=true", unit)
            found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
            assert found is not None, done.stdout + done.stderr
            assert float(found[1]) <= MOST_EXPOSED, done.stdout


def test_every_command_that_a_unit_starts_exists() -> None:
    for unit in UNITS:
        for command in re.findall(r"^ExecStart=\S+ (.+)$", unit.read_text(), flags=re.MULTILINE):
            words = [word for word in command.split() if word in COMMANDS]
            assert words, command
