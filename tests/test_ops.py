from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from pylfr import ops
from pylfr.errors import CudaError
from tests.native.pictures import noise

PLAIN = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def test_the_cpu_is_always_there() -> None:
    ops.require_device("cpu")


def test_a_missing_cuda_device_is_refused_with_the_reason() -> None:
    if ops.cuda_device_count() > 0:
        pytest.skip("there is a CUDA device: nothing to refuse")
    reason = "no CUDA device was found" if ops.built_with_cuda() else "build with -Ccmake.define.PYLFR_CUDA=ON"
    with pytest.raises(CudaError, match=reason):
        ops.require_device("cuda")


def test_an_unknown_device_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="device must be cpu or cuda, got 'tpu'"):
        ops.require_device("tpu")  # type: ignore[arg-type]


def test_frames_on_a_device_are_never_silently_copied_to_the_host() -> None:
    home = ops.Stream("cpu")
    frame = replace(noise("rgb", 8, 8), planes=(), surfaces=(ops.Tensor((8, 8, 3), "uint8", home),))
    with pytest.raises(CudaError, match="must be on the host"):
        ops.letterbox([frame], width=8, height=8, bgr=False, mean=PLAIN[0], scale=PLAIN[1])


def test_a_given_output_array_is_the_one_that_is_written() -> None:
    frame, out = noise("rgb", 8, 8), np.empty((1, 3, 16, 16), np.float32)
    tensor, _ = ops.letterbox([frame], width=16, height=16, bgr=False, mean=PLAIN[0], scale=PLAIN[1], out=out)
    assert tensor is out
    with pytest.raises(ValueError, match=r"out must be float32 \[1, 3, 8, 8\], got shape \[1, 3, 16, 16\]"):
        ops.letterbox([frame], width=8, height=8, bgr=False, mean=PLAIN[0], scale=PLAIN[1], out=out)


def test_other_threads_run_while_the_core_works() -> None:
    rows = np.random.default_rng(0).standard_normal((4000, 512)).astype(np.float32)
    ticks: list[float] = []
    is_over = threading.Event()

    def tick() -> None:
        while not is_over.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    began = time.perf_counter()
    ops.search_exact(rows, rows, 3)
    ended = time.perf_counter()
    is_over.set()
    thread.join()
    assert sum(began < at < ended for at in ticks) >= 3
