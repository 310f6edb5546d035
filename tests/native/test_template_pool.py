from __future__ import annotations

import gc
import re
from pathlib import Path

import numpy as np
import pytest

from pylfr import ops


def test_a_pool_starts_as_zeros_on_a_page_of_its_own() -> None:
    pool = ops.TemplatePool(64, 512)
    assert pool.array.shape == (64, 512)
    assert pool.array.dtype == np.float32
    assert not pool.array.any()
    assert pool.array.ctypes.data % 4096 == 0


def test_every_view_is_of_the_same_memory_and_wiping_empties_all() -> None:
    pool = ops.TemplatePool(4, 8)
    first, second = pool.array, pool.array
    first[:] = 3
    assert (second == 3).all()
    pool.wipe()
    assert not first.any()
    assert not second.any()


def test_a_view_outlives_the_pool_that_it_is_of() -> None:
    view = ops.TemplatePool(256, 512).array
    gc.collect()
    view[:] = 7
    assert (view == 7).all()
    assert view.base is not None


def test_the_kernel_was_told_to_lock_it_and_to_leave_it_out_of_dumps() -> None:
    pool = ops.TemplatePool(1024, 512)
    maps = Path("/proc/self/smaps").read_text().split("VmFlags:")
    start = f"{pool.array.ctypes.data:x}-"
    region = next(index for index, text in enumerate(maps) if re.search(rf"^{start}", text, re.MULTILINE))
    flags = maps[region + 1].split("\n", 1)[0].split()
    assert "dd" in flags
    assert ("lo" in flags) == pool.is_locked


@pytest.mark.parametrize(("rows", "dimension"), [(0, 512), (8, 0), (-1, 4), (1 << 40, 512)])
def test_a_pool_without_room_or_without_end_is_refused(rows: int, dimension: int) -> None:
    with pytest.raises(ValueError, match="a pool must have 1 row and 1 dimension or more"):
        ops.TemplatePool(rows, dimension)
