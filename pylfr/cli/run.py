"""``pylfr run``: a deployment, under its authorisation, until its window ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pylfr._internal.atomic_file import write_result
from pylfr._internal.heap import give_back_large_blocks
from pylfr.cli.console import tell
from pylfr.cli.output import surviving_output
from pylfr.cli.present import print_alert, print_notice, print_notices, print_summary, running, say_runtime
from pylfr.cli.result_files import files_of, require_result_files
from pylfr.deployment.authorise import measurements_of, officers_of, threshold_notice
from pylfr.deployment.config import Deployment
from pylfr.deployment.open import engine_of
from pylfr.deployment.reload import reload_deployment
from pylfr.deployment.resources import Resources, open_resources
from pylfr.engine.engine import Engine
from pylfr.errors import ConfigError
from pylfr.governance.keys.memory import close_memory, memory_state
from pylfr.monitoring.tracers import tracers_of
from pylfr.types import Event

if TYPE_CHECKING:
    from pylfr.monitoring.monitor import Monitor


def run(
    deployment: Annotated[Path, typer.Argument(help="The deployment file (TOML).", show_default=False)],
    summary_file: Annotated[
        Path | None, typer.Option("--summary", help="Write the summary as JSON into this file.")
    ] = None,
    debuggable: Annotated[
        bool,
        typer.Option("--debuggable", help="Leave the memory open to debuggers; the audit log and the report say so."),
    ] = False,
) -> None:
    """Run a deployment: many cameras against one watchlist. Ctrl-C ends it with its summary.

    It refuses to start without an authorisation and stops by itself when the authorised window ends. It goes on where
    nobody reads its output any more; SIGHUP takes in the newest revision of the watchlist.
    """
    lost: SimpleQueue[str] = SimpleQueue()
    with surviving_output(lost.put):
        _run(deployment, summary_file, debuggable=debuggable, lost=lost)


def _run(deployment: Path, summary_file: Path | None, *, debuggable: bool, lost: SimpleQueue[str]) -> None:
    console = Console(stderr=True)
    give_back_large_blocks()
    if not debuggable:
        close_memory()
    tell(f"the memory of this process is {memory_state()}", console)
    resources = open_resources(deployment)
    require_result_files({"--summary": summary_file}, inputs=files_of(resources.deployment, deployment))
    models = resources.deployment.models
    print_notices([models.detector, models.embedder], console)
    if models.runtime == "auto":
        say_runtime(resources.runtime, console)
    for line in (*officers_of(resources), *measurements_of(resources)):
        tell(line, console)
    monitor = _monitor(resources.deployment)
    tracers = tracers_of(resources.deployment.tracing, deployment=resources.deployment.name)
    observers = (*(() if monitor is None else (monitor.run,)), *tracers)
    engine = engine_of(resources, debuggable=debuggable, observers=observers)
    # It reads the watchlist, and so the audit log, which must be opened by the run.
    print_notice(threshold_notice(resources), console)

    def reload() -> None:
        tell(reload_deployment(engine, deployment, resources.deployment), console)

    with _listening(monitor, engine, resources, console), running(engine, console, on_hangup=reload):
        for recorded in engine.run():
            print_alert(recorded.value, console)
            _record_lost(engine, lost)
    summary = engine.summary()
    if summary_file is not None:
        write_result(summary_file, f"{summary.to_json()}\n".encode())
    print_summary(summary, console)
    if summary.errors:
        raise typer.Exit(1)


def _monitor(deployment: Deployment) -> Monitor | None:
    """What gives this run's numbers; None where nobody asks for them."""
    if deployment.monitoring.port is None:
        return None
    try:
        from pylfr.monitoring.monitor import Monitor
    except ImportError as error:
        raise ConfigError(f'{error.name} is not installed: pip install "pylfr[monitoring]"') from error
    return Monitor(deployment)


@contextmanager
def _listening(monitor: Monitor | None, engine: Engine, resources: Resources, console: Console) -> Iterator[None]:
    """Let Prometheus ask for the run's numbers until the block ends, where there is a monitor."""
    section = resources.deployment.monitoring
    if monitor is None or section.port is None:
        yield
        return
    from pylfr.monitoring.listener import listening

    monitor.watch(engine)
    monitor.watch_record(resources)
    monitor.watch_outbox(resources.deliveries)
    with engine, listening(monitor, host=section.host, port=section.port) as address:
        tell(f"numbers for Prometheus at {address}/metrics", console)
        yield


def _record_lost(engine: Engine, lost: SimpleQueue[str]) -> None:
    """Write into the record that nobody reads the output any more; the run goes on."""
    while not lost.empty():
        engine.note(Event(kind="output-lost", details={"stream": lost.get()}))
