"""The overview is quick because it loads nothing; every command in it loads when it is named."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pylfr.cli import COMMANDS, command_line
from tests.cli.command import pylfr


def test_the_overview_lists_every_command_and_loads_none() -> None:
    code = (
        "import sys; sys.argv = ['pylfr', '--help']\n"
        "from pylfr.cli import main\n"
        "try: main()\n"
        "finally: print(*sorted({'numpy', 'pydantic', 'sqlalchemy', 'av', 'PIL'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    for name, command in COMMANDS.items():
        assert name in done.stdout
        assert command.line[:30] in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_in_the_overview_can_be_loaded(name: str) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line({name})([name, "--help"])
    assert ended.value.code == 0


def test_a_mistyped_command_is_answered_with_the_nearest_one() -> None:
    done = pylfr("wacthlist", "list")
    assert done.returncode == 2
    assert "Did you mean 'watchlist'?" in done.stderr


def test_a_group_lists_the_commands_of_all_its_files() -> None:
    assert "was-listed" in pylfr("watchlist", "--help").stdout
    assert "picture" in pylfr("alerts", "--help").stdout
