"""Killed at random in the middle of everything: nothing acknowledged is lost, nothing is left in the open."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pylfr.governance.keys.keys import make_key
from tests.gallery.watchlist.test_sealed import enrolled
from tests.system.power_loss import STAGES
from tests.system.power_loss_check import in_the_open

KILLS, MOST = 220, 440


def test_two_hundred_kills_in_the_middle_of_everything_lose_nothing_and_leave_nothing_in_the_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_key(tmp_path / "record.key")
    enrolled(tmp_path / "plain.watchlist")
    # What must not be found can be found: the plain list lies outside of the folders that are searched.
    assert any("a reference template (<f4) lies in the open" in flaw for flaw in in_the_open(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "tests.system.power_loss", str(tmp_path), str(KILLS), str(MOST)],
        capture_output=True, text=True, timeout=300, check=False, cwd=Path(__file__).parents[2], env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    with capsys.disabled():
        print(f"\n{found['kills']} kills, {found['acknowledged']} steps acknowledged, killed while: {found['hit']}")
    assert found["flaws"] == []
    assert found["kills"] >= KILLS
    assert {stage for stage in STAGES if not found["hit"].get(stage)} == set()
