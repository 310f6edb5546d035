"""How alerts and accounts look in a terminal, and how a run shows that it is alive and ends on Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from rich.console import Console
from rich.table import Table

from pylfr.cli.console import escape, tell
from pylfr.engine.engine import Engine
from pylfr.engine.summary import Summary
from pylfr.errors import AuditError
from pylfr.models.default import choose
from pylfr.models.manifest import Task
from pylfr.models.store import open_store
from pylfr.runtimes.registry import RuntimeChoice, choose_runtime
from pylfr.types import Alert, Device, Event

_REFRESH_S = 0.5
_STOPPED = "stopped by "


@contextmanager
def running(engine: Engine, console: Console, *, on_hangup: Callable[[], None] | None = None) -> Iterator[None]:
    """Show a live status line on a terminal; SIGINT and SIGTERM stop the engine cleanly, a second one at once.

    SIGHUP calls ``on_hangup``, on a thread of its own, where it is given; else it stops the engine too.
    """

    def stop(number: int, _: FrameType | None) -> None:
        engine.stop(f"{_STOPPED}{signal.Signals(number).name}")
        signal.signal(number, stop_at_once)

    def stop_at_once(number: int, _: FrameType | None) -> None:
        with suppress(AuditError):  # the record is closed: the run has ended
            because = f"a second {signal.Signals(number).name}, before the run had ended"
            engine.note(Event(kind="run-aborted", details={"because": because}))
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def hang_up(_: int, __: FrameType | None) -> None:
        threading.Thread(target=on_hangup, name="pylfr-reload", daemon=True).start()

    handlers = {signal.SIGINT: stop, signal.SIGTERM: stop, signal.SIGHUP: stop if on_hangup is None else hang_up}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    finished = threading.Event()
    with console.status("opening cameras") as status:

        def refresh() -> None:
            while not finished.wait(_REFRESH_S):
                now = engine.summary()
                status.update(
                    f"{now.frames} frames, {now.fps:.0f}/s; {now.faces} faces, {now.tracks} tracks; {now.alerts} alerts"
                )

        painter = threading.Thread(target=refresh, name="status", daemon=True)
        painter.start()
        try:
            yield
        finally:
            finished.set()
            painter.join()
            for number, handler in before.items():
                signal.signal(number, handler)


def signal_status(summary: Summary) -> int:
    """The exit status of a run that a signal stopped, as a shell counts: 128 and its number; 0 where none did."""
    name = summary.stopped_because.removeprefix(_STOPPED)
    return 128 + signal.Signals[name] if name in signal.Signals.__members__ else 0


def print_alert(alert: Alert, console: Console) -> None:
    """One line an alert. It is a possible match; the score is a cosine, no percentage."""
    tag = "[red]rehearsal[/] " if alert.authorisation == "rehearsal" else ""
    console.print(
        f"{tag}[bold]possible match[/] {escape(alert.entry)}: camera {escape(alert.camera)}, track {alert.track_id}, "
        f"{alert.captured_at:%H:%M:%S}, score {alert.score:.3f} (threshold {alert.threshold:.3f}"
        f"{'' if alert.calibrated else ', uncalibrated'})",
        highlight=False,
        soft_wrap=True,
    )


def chosen_network(task: Task, named: str | None, console: Console | None = None) -> str:
    """The network to use for a task; where none was named, the choice and its reason are printed."""
    choice = choose(task, named, open_store())
    if named is None:
        tell(choice.reason, console)
    return choice.name


def chosen_runtime(named: str, device: Device, console: Console) -> str:
    """What runs the networks; where it was left open, the choice and its reason are printed."""
    choice = choose_runtime(named, device=device)
    if named == "auto":
        say_runtime(choice, console)
    return choice.name


def say_runtime(choice: RuntimeChoice, console: Console) -> None:
    """What runs the networks, and why."""
    tell(f"networks run in {choice.name}: {choice.reason}", console)


def print_notices(names: Sequence[str], console: Console) -> None:
    """What a user must know of the networks before they run: a restricted licence, a warning."""
    store = open_store()
    for name in names:
        print_notice(store.manifest(name).notice, console)


def print_notice(notice: str | None, console: Console) -> None:
    """One thing that a user must know before a run, where there is one."""
    if notice is not None:
        console.print(f"[yellow]notice[/] {escape(notice)}", highlight=False, soft_wrap=True)


def print_summary(summary: Summary, console: Console) -> None:
    """The account of a run as a table."""
    table = Table(
        title="Rehearsal: account" if summary.rehearsal else "Account", title_justify="left", show_header=False
    )
    dropped = ", ".join(f"{cause} {count}" for cause, count in summary.dropped.items()) or "none"
    dwell = summary.dwell_ms
    rows = {
        "frames": f"{summary.frames} decoded, {summary.detected_frames} analysed, {summary.fps:.0f} a second",
        "faces": f"{summary.faces} detections, {summary.tracks} tracks, {summary.recognised} compared",
        "alerts": f"{summary.alerts} (repeats suppressed: {summary.suppressed}, undelivered: {summary.undelivered})",
        "dropped": dropped,
        "templates": f"{dwell.count} probes, lived {dwell.p50:.1f} ms (p50), {dwell.p99:.1f} ms (p99), "
        f"{dwell.max:.1f} ms at most; none is left",
        "threshold": f"{summary.threshold:.3f} cosine, {'calibrated' if summary.calibrated else 'uncalibrated'}",
        "networks": f"{summary.detector}, {summary.embedder}; run in {summary.runtime}",
        "watchlist": f"{summary.watchlist_size} references, revision {summary.watchlist_revision}",
        "ended": summary.stopped_because,
    }
    for name, text in rows.items():
        table.add_row(name, escape(text))
    console.print(table)
    for error in summary.errors:
        console.print(f"[red]error[/] {escape(error)}", highlight=False, soft_wrap=True)
