"""Run a deployment inside a program of your own: python examples/embed_in_a_service.py deployment.toml."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pylfr


def serve(deployment: Path, on_alert: Callable[[pylfr.Alert], None]) -> pylfr.Summary:
    """Call ``on_alert`` for every recorded alert; gives the account when the run has ended.

    Another thread may call ``engine.stop()`` at any time.
    """
    engine = pylfr.open_engine(deployment)
    for recorded in engine.run():
        on_alert(recorded.value)
    return engine.summary()


def show(alert: pylfr.Alert) -> None:
    """Put the prompt before a person, who decides."""
    print(f"possible match: {alert.entry} at {alert.camera}, score {alert.score:.3f}; please look")


if __name__ == "__main__":
    print(serve(Path(sys.argv[1]), show).to_json())
