"""``pylfr serve``: the pages and the HTTP interface of a deployment; ``pylfr service``: tokens for programs."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import Annotated, get_args

import typer

from pylfr._internal.heap import give_back_large_blocks
from pylfr.cli.console import say
from pylfr.cli.said import named
from pylfr.deployment.open import engine_of
from pylfr.deployment.resources import open_resources
from pylfr.deployment.sections.service import Scope
from pylfr.errors import ConfigError, UsageError
from pylfr.governance.keys.memory import close_memory, memory_state
from pylfr.monitoring.tracers import tracers_of

commands = typer.Typer(help="Tokens for programs that read from the service.", no_args_is_help=True)


def serve(
    deployment: Annotated[Path, typer.Argument(help="The deployment file (TOML).", show_default=False)],
    attach: Annotated[
        bool, typer.Option("--attach", help="Serve the record of an engine that runs elsewhere; start none here.")
    ] = False,
) -> None:
    """Serve the pages of people who decide, and an HTTP interface, with the engine in the same process.

    SIGTERM or Ctrl-C ends both cleanly; SIGHUP takes in the watchlist and the certificate as they are now. Without TLS
    it listens on loopback alone.
    """
    try:
        from pylfr.monitoring.monitor import Monitor
        from pylfr.service.camera_watch import CameraWatch
        from pylfr.service.server import serve as serve_app
    except ImportError as error:
        raise ConfigError(f'{error.name} is not installed: pip install "pylfr[service]"') from error
    close_memory()
    give_back_large_blocks()
    say(f"the memory of this process is {memory_state()}")
    with open_resources(deployment) as resources:
        monitor, watch = Monitor(resources.deployment), CameraWatch()
        engine = None
        if not attach:
            running = open_resources(deployment)
            tracers = tracers_of(running.deployment.tracing, deployment=running.deployment.name)
            engine = engine_of(running, observers=(monitor.run, watch, *tracers))
            monitor.watch(engine)
            monitor.watch_outbox(running.deliveries)
        serve_app(
            resources,
            engine,
            monitor=monitor,
            watch=watch,
            path=deployment,
            ready=lambda address: say(f"{address}: sign in with your key; Ctrl-C ends it"),
        )
    if engine is not None:
        summary = engine.summary()
        say(f"{summary.alerts} alerts; the run ended because: {summary.stopped_because}")


@commands.command()
def token(
    name: Annotated[str, typer.Argument(help="The program, as it is named under [service.tokens].", callback=named)],
    scope: Annotated[
        list[str], typer.Option(help=f"What it may read, one of {', '.join(get_args(Scope))}; repeat for more.")
    ],
) -> None:
    """Make a token for a program: shown once, here; the deployment file holds its digest alone."""
    if unknown := sorted(set(scope) - set(get_args(Scope))):
        raise UsageError(f"--scope must be one of {', '.join(get_args(Scope))}, got {', '.join(unknown)}")
    made = secrets.token_urlsafe(32)
    say(f"token, shown once: {made}")
    scopes = ", ".join(f'"{each}"' for each in scope)
    for line in (
        f'[service.tokens."{name}"]',
        f'sha256 = "{hashlib.sha256(made.encode()).hexdigest()}"',
        f"scopes = [{scopes}]",
    ):
        say(line)
