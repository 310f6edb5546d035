"""The command line: one file for each group of commands, and one line for whatever goes wrong."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, NoReturn, cast

import typer

from pylfr import __version__
from pylfr._internal.limits import limit_met, memory_limit_mb, memory_may_be_short
from pylfr._internal.under_limit import say_ended, speak
from pylfr.errors import PylfrError, UsageError
from pylfr.monitoring.logs import LogFormat, LogLevel, start_logging

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    """A command or a group of commands: where it is defined, and its line in the overview."""

    module: str
    attribute: str
    line: str

    def load(self) -> typer.Typer | Callable[..., None]:
        loaded: typer.Typer | Callable[..., None] = getattr(import_module(f"pylfr.cli.{self.module}"), self.attribute)
        return loaded


def _at(place: str, line: str) -> _Command:
    module, attribute = place.split(":")
    return _Command(module=module, attribute=attribute, line=line)


COMMANDS = {
    "try": _at("try_:try_", "Look for people in recorded videos: a rehearsal."),
    "run": _at("run:run", "Run a deployment: many cameras against one watchlist."),
    "cluster": _at("cluster:commands", "Run a deployment on many machines."),
    "serve": _at("serve:serve", "Serve pages for the people who decide, and an HTTP interface."),
    "service": _at("serve:commands", "Make tokens for programs that read from the service."),
    "evaluate": _at("evaluate:evaluate", "Measure accuracy on your own people and videos."),
    "calibrate": _at("calibrate:calibrate_command", "Find the threshold that meets a false-alert target."),
    "drift": _at("drift:drift", "Check whether a deployment still sees what its threshold was measured on."),
    "size": _at("size:size", "Measure how many cameras this machine can run."),
    "report": _at("report:report", "Write the public report of a deployment."),
    "sweep": _at("vault:sweep", "Erase everything whose retention has ended; run it from a timer."),
    "retention": _at("vault:retention_commands", "Show what is retained, where, and until when."),
    "watchlist": _at("watchlist:commands", "Create, enrol, review, seal and list watchlists."),
    "models": _at("models:commands", "List, show, verify, fetch and import networks."),
    "authority": _at("authority:commands", "Make keys; draft, sign and check authorisations."),
    "audit": _at("audit:commands", "Verify, show and export the audit log."),
    "alerts": _at("alerts:commands", "Review possible matches and record decisions."),
    "fleet": _at("fleet:commands", "Bundles for many sites, and their state."),
    "records": _at("records:commands", "Back up, restore and upgrade the records."),
    "config": _at("config:commands", "Print the schema of deployment files, or check one."),
}


def command_line(words: Collection[str] = COMMANDS.keys()) -> typer.Typer:
    """The command line. Only commands named in ``words`` are imported; the others are known by their line of help.

    Importing all of them takes a second, which ``pylfr --help`` and a mistyped command need not wait for.
    """
    app = typer.Typer(
        name="pylfr",
        help="Live facial recognition: an alert is a possible match, and a person decides.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        # Rich's own markup would swallow the names of sections in square brackets.
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
        callback=_options,
    )
    for name, command in COMMANDS.items():
        if name not in words:
            app.command(name=name, help=command.line)(_not_loaded)
            continue
        loaded = command.load()
        if isinstance(loaded, typer.Typer):
            app.add_typer(loaded, name=name)
        else:
            app.command(name=name)(loaded)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pylfr {__version__}")
        raise typer.Exit


def _options(
    _: Annotated[
        bool, typer.Option("--version", "-V", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    log_level: Annotated[
        LogLevel | None, typer.Option("--log-level", help="Log what happens from this level on, to stderr.")
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="Lines for people, or one JSON object a line.")
    ] = "text",
) -> None:
    if log_level is not None:
        start_logging(log_level, log_format)


def main() -> None:
    """Run the command line.

    Exit status: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted; one line on stderr says why.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal of few characters shows the others as \\u0159.
            stream.reconfigure(errors="backslashreplace")
    # A shell that completes a line gives its words in a variable: bash in the first, the others in the second.
    completed = (os.environ.get(name, "") for name in ("COMP_WORDS", "_TYPER_COMPLETE_ARGS"))
    words = [*sys.argv[1:], *" ".join(completed).split()]
    try:
        app = command_line(words)
        import_module("pylfr.cli.console")
        import_module("pylfr.cli.output")
    except Exception as error:
        _give_up(error)
    # Everything is imported: from here on Ctrl-C is an exception, and what is open is closed.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.excepthook = _end_of_thread
    sys.exit(_status_of(app, sys.argv[1:]))


def _status_of(app: typer.Typer, words: Sequence[str]) -> int:
    """Run one command: its exit status, once whatever went wrong is said."""
    from pylfr.cli.console import warn
    from pylfr.cli.output import surviving_output

    status, reason = 1, ""
    try:
        with surviving_output(_on_output_lost):
            _require_text(words)
            ended = app(standalone_mode=False, prog_name="pylfr")
        status = ended if isinstance(ended, int) else 0
        if status == _INTERRUPTED:
            reason = "interrupted"
    except (KeyboardInterrupt, typer.Abort):
        status, reason = _INTERRUPTED, "interrupted"
    except UsageError as error:
        status, reason = 2, str(error)
    except PylfrError as error:
        reason = _with_limit(str(error), error)
    except OSError as error:
        # A full disk or a folder without permission, met outside the parts that explain their own.
        words_of = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
        reason = _with_limit(words_of, error)
    except _CLICK_ERROR as error:
        status, reason = 2, _misuse(error)
    except Exception as error:
        # What is no limit of the system is a mistake of ours: with its traceback.
        met = limit_met(error)
        reason = met or _perhaps_memory(error)
        if not reason:
            say_ended(of_a_limit=False)
            raise
        _log.debug("the error behind it", exc_info=error)
        if not met:
            reason += "; `pylfr --log-level debug` shows where it was raised"
    if reason:
        try:
            warn("error", reason)
        except MemoryError:
            speak(f"error {reason}")
        say_ended(of_a_limit="ulimit" in reason)
    elif status:
        say_ended(of_a_limit=False)
    return status


def _perhaps_memory(error: Exception) -> str:
    """A line for what no part of ours explains, where memory is nearly used up: then libraries fail in many ways."""
    most = memory_limit_mb()
    if most is None or not memory_may_be_short():
        return ""
    words = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {words}; {most:,.0f} MB may be used, which may be too little (`ulimit -v`)"


def _end_of_thread(ended: threading.ExceptHookArgs) -> None:
    """One line where a thread ended for want of memory or files; its traceback where it is a mistake of ours."""
    met = limit_met(ended.exc_value) if ended.exc_value is not None else ""
    if met:
        speak(f"error: {met}")
    else:
        threading.__excepthook__(ended)


def _with_limit(reason: str, error: BaseException) -> str:
    """``reason``, and the limit of the system behind it, where there is one."""
    met = limit_met(error)
    if not met or reason == getattr(error, "strerror", None):
        return met or reason
    return f"{reason}: {met}"


def _give_up(error: Exception) -> NoReturn:
    """End where not even the command could be imported. What the system did not refuse is raised as it is."""
    met = limit_met(error) or _perhaps_memory(error)
    if not met:
        say_ended(of_a_limit=False)
        raise error
    speak(f"error: {met}")
    say_ended(of_a_limit=True)
    os._exit(1)


_INTERRUPTED = 130
# What is wrong with the words of a command. Typer brings the class along and does not export it.
_CLICK_ERROR = cast(type[Exception], typer.BadParameter.__mro__[2])


def _misuse(error: Exception) -> str:
    """What is wrong with the words of a command, and where its help is; where there are none, the help is shown."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # type: ignore[attr-defined]
        return ""
    context = getattr(error, "ctx", None)
    words = str(error.format_message()).rstrip(".")  # type: ignore[attr-defined]
    return words if context is None else f"{words}; see `{context.command_path} --help`"


def _require_text(words: Sequence[str]) -> None:
    for word in words:
        if any("\ud800" <= sign <= "\udfff" for sign in word):
            # No log, JSON or picture could say which file is meant.
            raise UsageError(f"names must be text in UTF-8, got {word!r}: rename the file")


def _on_output_lost(name: str) -> None:
    raise UsageError(f"whoever read {name} went away before all of it was written")


def _not_loaded() -> None:
    """Stand in for a command in the overview. It is never run: a command that is named is loaded."""
