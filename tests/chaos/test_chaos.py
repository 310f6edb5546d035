"""A complete deployment under faults from a seed: whatever happens, what was acknowledged is there, once, and verifies.

``PYLFR_CHAOS_SECONDS`` says how long (``make chaos`` for hours), ``PYLFR_CHAOS_SEED`` which faults.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.faults import some
from tests.chaos.oracle import Oracle
from tests.chaos.scene import find_scene
from tests.chaos.stand import Stand, alerts_of
from tests.chaos.supervised_run import PATIENCE_S
from tests.video.camera_server import needs_server

pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed: pip install 'pylfr[mqtt]'")

SECONDS = float(os.environ.get("PYLFR_CHAOS_SECONDS", "75"))
SEED = int(os.environ.get("PYLFR_CHAOS_SEED", "18"))


@needs_server
def test_whatever_happens_every_acknowledged_alert_is_there_once_and_verifies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    counts: Counter[str] = Counter()
    scene = find_scene(tmp_path)
    with Stand(tmp_path, scene) as stand:
        oracle = Oracle(stand)
        stand.run.start()
        _wait_for_alert(stand, 0)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            chosen = some(stand, chance)
            counts.update(each.name for each in chosen)
            with ExitStack() as going_on:
                for each in chosen:
                    going_on.enter_context(each.begin(stand))
                    time.sleep(chance.uniform(0.0, 1.0))
                time.sleep(chance.uniform(0.5, 4.0))
            if not stand.run.is_alive():
                stand.run.start()
            time.sleep(chance.uniform(1.0, 5.0))
            names = [each.name for each in chosen]
            oracle.after_round(names, touched_all=any(each.touches_all for each in chosen))
            oracle.decide()
            if chance.random() < 0.3:
                oracle.sweep()
        alerts = _settle(stand, oracle)
        oracle.at_the_end()
    account = {
        "scene": scene.kind,
        "seed": SEED,
        "seconds": SECONDS,
        "faults": counts.total(),
        "by_kind": dict(sorted(counts.items())),
        "starts": stand.run.starts,
        "alerts": alerts,
        "violations": len(oracle.violations),
        "left_out": [
            *([] if stand.disk_is_small else ["disk full: no tmpfs can be mounted"]),
            *([] if stand.run.has_skewed_clock else ["clock: there is no C compiler"]),
        ],
    }
    with capsys.disabled():
        print(f"\nchaos: {json.dumps(account)}", *(f"violation: {each}" for each in oracle.violations), sep="\n")
    assert oracle.violations == []
    assert alerts > 0


def _settle(stand: Stand, oracle: Oracle) -> int:
    """With everything well again, every alert arrives; how many there were."""
    if stand.run.is_alive():
        stand.run.end()
    stand.run.start()
    _wait_for_alert(stand, _alerts(stand))
    until = time.monotonic() + PATIENCE_S
    while not oracle.delivered() and time.monotonic() < until:
        time.sleep(1.0)
    stand.run.end()
    return _alerts(stand)


def _alerts(stand: Stand) -> int:
    return len(alerts_of(stand.folder))


def _wait_for_alert(stand: Stand, before: int) -> None:
    until = time.monotonic() + PATIENCE_S
    while _alerts(stand) <= before:
        assert stand.run.is_alive(), stand.run.output.read_text(errors="replace")[-3000:]
        assert time.monotonic() < until, stand.run.output.read_text(errors="replace")[-3000:]
        time.sleep(0.2)
