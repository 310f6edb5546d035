"""The overview loads no command; every command loads when it is named, and its help loses no word."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer.main
from click import Command, Context, Group
from typer.testing import CliRunner

import pylfr
from pylfr.cli import COMMANDS, command_line
from tests.cli.command import pylfr as run


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
    done = run("wacthlist", "list")
    assert done.returncode == 2
    assert "Did you mean 'watchlist'?" in done.stderr


def test_a_group_lists_the_commands_of_all_its_files() -> None:
    assert "was-listed" in run("watchlist", "--help").stdout
    assert "picture" in run("alerts", "--help").stdout


# Wide enough that no word of the help is broken.
WIDE = {"COLUMNS": "400", "TERM": "dumb"}


def commands(command: Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command]]:
    yield path, command
    if isinstance(command, Group):
        for name in command.list_commands(Context(command)):
            child = command.get_command(Context(command), name)
            assert child is not None
            yield from commands(child, (*path, name))


ALL = list(commands(typer.main.get_command(command_line())))  # type: ignore[arg-type]


def words(text: str) -> list[str]:
    """Words and names in brackets, without the marks that Markdown takes away."""
    return re.findall(r"\[?\w[\w.]*\]?", re.sub(r"[`*]", "", text))


def test_the_version_is_that_of_the_package() -> None:
    for option in ("--version", "-V"):
        done = CliRunner().invoke(command_line(), [option])
        assert (done.exit_code, done.output) == (0, f"pylfr {pylfr.__version__}\n")


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) or "pylfr" for path, _ in ALL])
def test_help_shows_every_word_that_was_written(path: tuple[str, ...], command: Command) -> None:
    done = CliRunner().invoke(command_line(), [*path, "-h"], env=WIDE)
    assert done.exit_code == 0
    shown = done.output
    texts = [command.help or ""]
    texts += [help_text for parameter in command.params if (help_text := getattr(parameter, "help", None))]
    lost = [word for text in texts for word in words(text) if word not in shown]
    assert lost == []
    assert command.help


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"_PYLFR_COMPLETE": "source_bash"}, "complete -o default -F _pylfr_completion pylfr"),
        ({"_PYLFR_COMPLETE": "complete_bash", "COMP_WORDS": "pylfr watchl", "COMP_CWORD": "1"}, "watchlist\n"),
    ],
    ids=["how", "what"],
)
def test_a_shell_can_complete_commands(asked: dict[str, str], answer: str) -> None:
    """As the shell itself asks: which one runs the tests, if any, makes no difference."""
    done = run(environment=asked)
    assert done.returncode == 0
    assert answer in done.stdout
