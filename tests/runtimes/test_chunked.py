"""Batches in parts: the same results in the same order, whatever the parts and their parallelism."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np
import pytest

from pylfr.models.store import open_store
from pylfr.runtimes.chunked import ChunkedRuntime, beside_on_cpu
from pylfr.runtimes.onnx import open_onnx
from pylfr.runtimes.registry import open_runtime
from pylfr.types import Device, Float32


class Doubling:
    """A network that doubles; it counts how many calls ran at once, and fails for an image of nothing but noughts."""

    device: Device = "cpu"
    outputs: Mapping[str, tuple[int | None, ...]] = {"doubled": (None, 4)}

    def __init__(self, *, meet: int = 1) -> None:
        self.batches: list[int] = []
        self.ended = 0
        self._meeting = threading.Barrier(meet)

    def run(self, tensor: Float32) -> dict[str, Float32]:
        self._meeting.wait(timeout=10)
        self.batches.append(len(tensor))
        return {"doubled": 2 * first_four(tensor)}

    def run_into(self, tensor: Float32, output: str, out: Float32) -> None:
        if len(tensor) and not tensor.any():
            raise ArithmeticError("noughts")
        self._meeting.wait(timeout=10)
        out[:] = self.run(tensor)[output] if self._meeting.parties == 1 else 2 * first_four(tensor)
        self.ended += 1


def first_four(tensor: Float32) -> Float32:
    return tensor.reshape(len(tensor), int(np.prod(tensor.shape[1:])))[:, :4]


def images(count: int, side: int = 2) -> Float32:
    return np.arange(1, count * 3 * side * side + 1, dtype=np.float32).reshape(count, 3, side, side)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 40])
@pytest.mark.parametrize("max_batch", [None, 1, 3])
@pytest.mark.parametrize("beside", [None, 1, 2, 5])
def test_the_answer_is_that_of_the_whole_batch(count: int, max_batch: int | None, beside: int | None) -> None:
    network = Doubling()
    runtime = ChunkedRuntime(network, max_batch=max_batch, beside=beside)
    tensor = images(count)
    wanted = 2 * first_four(tensor)
    np.testing.assert_array_equal(runtime.run(tensor)["doubled"], wanted)
    out = np.full((count, 4), np.nan, np.float32)
    runtime.run_into(tensor, "doubled", out)
    np.testing.assert_array_equal(out, wanted)
    assert max(network.batches) <= (max_batch or max(1, count))


def test_parts_run_in_parallel() -> None:
    runtime = ChunkedRuntime(Doubling(meet=3), max_batch=None, beside=3)
    assert len(runtime.run(images(12))["doubled"]) == 12


def test_whole_pictures_run_one_by_one_and_crops_a_few_together() -> None:
    network = Doubling()
    runtime = ChunkedRuntime(network, max_batch=None, beside=2)
    runtime.run(images(3, side=300))
    assert network.batches == [1, 1, 1]
    network.batches.clear()
    runtime.run(images(4))
    runtime.run(images(10))
    assert sorted(network.batches) == [2, 4, 4, 4]


def test_what_must_not_depend_on_its_batch_runs_one_by_one_whatever_its_size() -> None:
    network = Doubling()
    ChunkedRuntime(network, max_batch=None, beside=2, one_by_one=True).run(images(3))
    assert network.batches == [1, 1, 1]


def test_when_a_part_fails_the_others_end_before_the_error_is_raised() -> None:
    network = Doubling()
    runtime = ChunkedRuntime(network, max_batch=1, beside=2)
    tensor = images(4)
    tensor[0] = 0
    with pytest.raises(ArithmeticError, match="noughts"):
        runtime.run_into(tensor, "doubled", np.empty((4, 4), np.float32))
    assert network.ended == 3


def test_memory_for_another_number_of_images_is_refused() -> None:
    with pytest.raises(ValueError, match=r"3 rows.*\[2, 4\]"):
        ChunkedRuntime(Doubling(), max_batch=None).run_into(images(3), "doubled", np.empty((2, 4), np.float32))


def test_the_number_of_parallel_parts_follows_the_threads_and_is_bounded() -> None:
    assert beside_on_cpu(3) == 3
    assert 1 <= beside_on_cpu(0) <= 8
    assert beside_on_cpu(64) == 8


@pytest.mark.parametrize("threads", [1, 2])
def test_onnxruntime_in_parts_agrees_with_itself(threads: int) -> None:
    model = open_store().resolve("pylfr_nano_embed")
    tensor = np.random.default_rng(1).uniform(-1, 1, (5, 3, 112, 112)).astype(np.float32)
    whole, parts = open_onnx(model).run(tensor), open_runtime(model, threads=threads).run(tensor)
    for name, expected in whole.items():
        np.testing.assert_allclose(parts[name], expected, rtol=1e-4, atol=1e-5)
