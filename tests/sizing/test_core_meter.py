"""How many cores are in use, by kind of thread, and how many are left idle meanwhile."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from pylfr.sizing.core_meter import CoreMeter, CoreSample, idle_cores


def test_a_busy_thread_counts_for_its_kind_and_no_other() -> None:
    def spin() -> None:
        while time.thread_time() < 0.2:
            pass

    worker = threading.Thread(target=spin, name="pylfr-decode-north")
    with CoreMeter() as meter:
        worker.start()
        worker.join()
    used = {kind: sum(each.cores[kind] * (each.until_s - each.since_s) for each in meter.samples)
            for kind in meter.samples[0].cores}  # fmt: skip
    assert used["decode"] > 0.02
    assert max(used["detection"], used["recognition"]) == 0
    assert used["decode"] > 3 * max(used["networks"], used["Python"])


def test_idle_cores_are_the_mean_of_what_was_left_from_one_moment_to_another() -> None:
    samples = [
        CoreSample(since_s=10.0, until_s=11.0, cores={"decode": 2.0}),
        CoreSample(since_s=11.0, until_s=12.0, cores={"decode": 0.25, "Python": 0.25}),
    ]
    idle = idle_cores(samples, np.array([10.0, 11.0, 10.5, 9.0]), np.array([11.0, 12.0, 11.5, 12.0]), cores=2)
    assert idle == pytest.approx([0.0, 1.5, 0.75, 0.75])
    assert np.isnan(idle_cores([], np.array([1.0]), np.array([2.0]), cores=2)).all()
