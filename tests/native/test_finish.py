"""What follows a convolution, in one pass: on the host, and on CUDA, the numbers that NumPy has."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest

from pylfr import ops
from pylfr.types import Device
from tests.devices import DEVICES

Values = npt.NDArray[np.floating]
Name = Literal["float16", "float32"]


def drawn(name: Name, *shape: int) -> Values:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(name)


def finish(
    device: Device, values: Values, bias: Values | None, shortcut: Values | None, slope: Values | None
) -> Values:
    """What the core makes of a copy of ``values``."""
    if device == "cpu":
        own = values.copy()
        ops.finish_convolution(own, bias, shortcut, slope, 0)
        return own
    home = ops.Stream("cuda")

    def there(array: Values | None) -> ops.Tensor | None:
        if array is None:
            return None
        tensor = ops.Tensor(array.shape, "float16" if array.dtype == np.float16 else "float32", home)
        tensor.copy_from(array, home)
        return tensor

    made, *others = (there(each) for each in (values, bias, shortcut, slope))
    launches = ops.cuda_launches()
    ops.finish_convolution(made, others[0], others[1], others[2], home.handle)
    assert ops.cuda_launches() == launches + 1
    assert made is not None
    changed = np.empty_like(values)
    made.copy_to(changed, home)
    return changed


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["float16", "float32"])
@pytest.mark.parametrize("steps", ["", "b", "s", "p", "bp", "bs", "bsp"])
@pytest.mark.parametrize(("rows", "channels"), [(1, 8), (35, 24), (700, 64)])
def test_halves_are_added_up_in_float_and_rounded_once(
    device: Device, name: Name, steps: str, rows: int, channels: int
) -> None:
    values, shortcut = drawn(name, rows, channels), drawn(name, rows, channels)[::-1].copy()
    bias, slope = drawn(name, channels), drawn(name, channels) * np.float16(0.25)
    whole: Values = values.astype(np.float32)
    whole = whole + bias if "b" in steps else whole
    whole = whole + shortcut if "s" in steps else whole
    whole = np.where(whole < 0, whole * slope.astype(np.float32), whole) if "p" in steps else whole
    got = finish(
        device,
        values,
        bias if "b" in steps else None,
        shortcut if "s" in steps else None,
        slope if "p" in steps else None,
    )
    assert got.tobytes() == whole.astype(np.float32).astype(name).tobytes()


def test_no_rows_are_no_work() -> None:
    ops.finish_convolution(np.empty((0, 8), np.float16), None, None, None, 0)


@pytest.mark.parametrize(
    ("values", "bias", "shortcut", "words"),
    [
        (np.zeros((2, 12), np.float16), None, None, "channels by the 8, got 12"),
        (np.zeros((2, 6), np.float32), None, None, "channels by the 4, got 6"),
        (np.zeros(8, np.float32), None, None, "values must be [rows, channels], got [8]"),
        (np.zeros((2, 8), np.float32), np.zeros(4, np.float32), None, "bias must be float32 [8] on cpu, got"),
        (np.zeros((2, 8), np.float32), np.zeros(8, np.float16), None, "got float16 [8] on cpu"),
        (np.zeros((2, 8), np.float32), None, np.zeros((3, 8), np.float32), "shortcut must be float32 [2, 8] on cpu"),
        (np.zeros((2, 16), np.float32)[:, :8], None, None, "values must have no padding"),
        (np.zeros((2, 12), np.float32)[:, 2:10], None, None, "values must have no padding"),
        (np.zeros(10, np.float32)[1:9].reshape(1, 8), None, None, "values must begin at a multiple of 16 bytes"),
    ],
)
def test_what_does_not_fit_is_refused(values: Values, bias: Values | None, shortcut: Values | None, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        ops.finish_convolution(values, bias, shortcut, None, 0)


def test_other_numbers_and_other_objects_are_refused() -> None:
    with pytest.raises(TypeError, match="values must be float16 or float32, got int32"):
        ops.finish_convolution(np.zeros((2, 8), np.int32), None, None, None, 0)
    with pytest.raises(TypeError, match="__array_interface__, got list"):
        ops.finish_convolution([1.0], None, None, None, 0)
    frozen = np.zeros((2, 8), np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="in place, got a read-only array"):
        ops.finish_convolution(frozen, None, None, None, 0)
