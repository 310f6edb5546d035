"""Where the commands write: results to stdout, notices and refusals to stderr; plain and unwrapped in a pipe."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape as without_markup

from pylfr._internal.printable import one_line, printable

# Wide enough that no cell of a table is broken where a program reads it.
_PIPE_WIDTH = 1000


def results() -> Console:
    """The console for results: tables fit a terminal, and are never wrapped in a pipe."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)


def escape(text: str) -> str:
    """``text`` that others wrote, fit to be shown: no markup, no control character, no line break."""
    return without_markup(printable(text))


def say(text: str) -> None:
    """One line on stdout."""
    tell(text, Console())


def tell(text: str, console: Console | None = None) -> None:
    """One line on ``console``, or on stderr, whoever wrote the text."""
    (console or Console(stderr=True)).print(escape(text), highlight=False, soft_wrap=True)


def warn(kind: str, text: str) -> None:
    """One line on stderr that begins with what it is: error, refused, notice."""
    colour = "yellow" if kind == "notice" else "red"
    Console(stderr=True).print(f"[{colour}]{kind}[/] {escape(one_line(text))}", highlight=False, soft_wrap=True)
