from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from pylfr import ops
from pylfr.types import Float32

RNG = np.random.default_rng(20200124)


def numbers(*shape: int) -> Float32:
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (7, 5), (512, 128), (1023, 257)])
def test_a_linear_layer_is_a_product_and_a_bias(count: int, inputs: int, outputs: int) -> None:
    features, weight, bias = numbers(count, inputs), numbers(outputs, inputs), numbers(outputs)
    out = numbers(count, outputs)
    ops.apply_linear(features, weight, bias, out)
    exact = features.astype(np.float64) @ weight.T.astype(np.float64) + bias
    np.testing.assert_allclose(out, exact, atol=2e-6 * inputs)


def test_a_row_gets_the_same_bits_alone_and_among_others() -> None:
    features, weight, bias = numbers(9, 509), numbers(130, 509), numbers(130)
    together = np.empty((9, 130), np.float32)
    ops.apply_linear(features, weight, bias, together)
    for index in range(len(features)):
        alone = np.empty((1, 130), np.float32)
        ops.apply_linear(features[index : index + 1], weight, bias, alone)
        assert alone.tobytes() == together[index : index + 1].tobytes()


def test_shapes_that_do_not_fit_are_refused() -> None:
    features, weight, bias, out = numbers(2, 8), numbers(4, 8), numbers(4), numbers(2, 4)
    for wrong in ((numbers(2, 7), weight, bias, out), (features, weight, numbers(3), out),
                  (features, weight, bias, numbers(1, 4)), (features, weight.T, bias, out)):  # fmt: skip
        with pytest.raises(ValueError, match="must"):
            ops.apply_linear(*wrong)
    out.flags.writeable = False
    with pytest.raises(ValueError, match=r"writ|read"):
        ops.apply_linear(features, weight, bias, out)


_BATCHES = """
import threading, time
import numpy as np
from pylfr.models.last_layer import LastLayer

layer = LastLayer("x", np.ones((256, 512), np.float32), np.zeros(256, np.float32))
features, out = np.ones((8, 512), np.float32), np.empty((8, 256), np.float32)
layer.apply(features, out)
began, used = time.perf_counter(), time.process_time()
for _ in range(40):
    layer.apply(features, out)
    time.sleep(0.005)
print((time.process_time() - used) / (time.perf_counter() - began))
"""


def test_no_thread_is_busy_between_two_batches() -> None:
    """A thread of NumPy's BLAS would wait for the next product by spinning: a whole core for nothing."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores: on one, NumPy's BLAS has no second thread")
    given = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    said = subprocess.run(
        [sys.executable, "-c", _BATCHES], check=True, capture_output=True, text=True, timeout=60, env=given
    )
    assert float(said.stdout) < 0.5
