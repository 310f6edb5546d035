"""The search of the device: coarse scan, merged lists, exact scores; on the CPU lane by lane, and on CUDA."""

from __future__ import annotations

import numpy as np
import pytest

from pylfr import ops
from pylfr.types import Device, Float32, Int64, Precision
from tests.devices import DEVICES, on_device, on_host

PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "int8")


@pytest.fixture(params=DEVICES)
def home(request: pytest.FixtureRequest) -> ops.Stream:
    device: Device = request.param
    return ops.Stream(device)


def unit_rows(count: int, dimension: int, seed: int = 0) -> Float32:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    ops.normalise(rows)
    return rows


def filled(rows: Float32, precision: Precision, home: ops.Stream) -> ops.SearchIndex:
    index = ops.SearchIndex(len(rows), rows.shape[1], precision, home)
    half = len(rows) // 2
    index.fill(rows[:half], 0)
    index.fill(rows[half:], half)
    return index


def search(
    index: ops.SearchIndex, probes: Float32, kept: int, home: ops.Stream
) -> tuple[Float32, Int64, Float32, Float32]:
    """Exact scores, rows, the bound on the coarse scores that were left out, and the probes' errors."""
    found = on_host(index.search(on_device(probes, home), kept, home), home)
    rows = np.ascontiguousarray(found[:, kept : 2 * kept]).view(np.int32).astype(np.int64)
    return found[:, :kept], rows, found[:, -2], found[:, -1]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("references", "dimension"), [(0, 16), (1, 5), (31, 128), (3000, 100), (6000, 512)])
@pytest.mark.parametrize("probes", [0, 1, 3, 6, 9, 41])
def test_the_best_by_coarse_score_come_with_exact_scores(
    home: ops.Stream, precision: Precision, references: int, dimension: int, probes: int
) -> None:
    left, right = unit_rows(probes, dimension, 1), unit_rows(references, dimension, 2)
    scores, rows, bound, probe_error = search(filled(right, precision, home), left, 64, home)
    exact = left @ right.T if references else np.zeros((probes, 0), np.float32)
    for p in range(probes):
        found = rows[p][rows[p] >= 0]
        assert len(found) == len(set(found)) == min(64, references)
        wanted, places = ops.search_exact(left[p : p + 1], right[found], max(1, len(found)))
        assert sorted(scores[p][: len(found)].tolist(), reverse=True) == wanted[0, : len(found)].tolist()
        assert (scores[p][len(found) :] == -1).all()
        missing = np.setdiff1d(np.arange(references), found)
        if len(missing):
            limit = bound[p] + probe_error[p] * 1.02 + filled(right, precision, home).most_error + 1e-5
            assert exact[p][missing].max() <= limit
        else:
            assert bound[p] == -2
        assert places.shape[0] == 1


@pytest.mark.parametrize("precision", PRECISIONS)
def test_rounding_takes_no_more_than_it_says(home: ops.Stream, precision: Precision) -> None:
    rows = unit_rows(500, 512)
    most = filled(rows, precision, home).most_error
    limits = {"float32": (0, 0), "float16": (1e-4, 5e-4), "int8": (5e-3, 1.2e-2)}
    assert limits[precision][0] <= most <= limits[precision][1]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_best_reference_is_found_wherever_it_stands(home: ops.Stream, precision: Precision) -> None:
    rows = unit_rows(5000, 128)
    index = filled(rows, precision, home)
    places = [0, 1, 31, 32, 2499, 2500, 4998, 4999]
    scores, found, _, _ = search(index, rows[places], 32, home)
    assert found[:, 0].tolist() == places
    np.testing.assert_allclose(scores[:, 0], 1, atol=1e-6)


def test_equal_references_come_in_order_and_what_is_no_number_never(home: ops.Stream) -> None:
    rows = np.tile(unit_rows(1, 64), (300, 1))
    rows[2, 5] = np.nan
    _, found, _, _ = search(filled(rows, "float32", home), rows[:1], 5, home)
    assert found[0].tolist() == [0, 1, 3, 4, 5]


def test_every_score_is_that_of_the_host_to_the_bit(home: ops.Stream) -> None:
    probes, rows = unit_rows(3, 515, 1), unit_rows(200, 515, 2)
    scores = on_host(filled(rows, "int8", home).score_all(on_device(probes, home), home), home)
    wanted, places = ops.search_exact(probes, rows, 200)
    assert np.take_along_axis(scores, places, axis=1).tobytes() == wanted.tobytes()


def test_an_index_says_how_much_it_holds_and_refuses_what_does_not_fit(home: ops.Stream) -> None:
    index = filled(unit_rows(100, 512), "int8", home)
    assert (len(index), index.dimension) == (100, 512)
    assert index.nbytes == 100 * (512 * 4 + 512 + 4)
    with pytest.raises(ValueError, match="precision must be float32, float16 or int8, got 'int4'"):
        ops.SearchIndex(1, 8, "int4", home)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="templates of 1 to 1024 numbers, got 2000"):
        ops.SearchIndex(1, 2000, "int8", home)
    with pytest.raises(ValueError, match="rows must lie in an index of 100, got 2 from 99"):
        index.fill(unit_rows(2, 512), 99)
    with pytest.raises(ValueError, match="kept must be 1 to 128, got 129"):
        index.search(on_device(unit_rows(1, 512), home), 129, home)
    with pytest.raises(ValueError, match=r"probes must be float32 \[any, 512\], got shape \[1, 8\]"):
        index.search(on_device(unit_rows(1, 8), home), 5, home)
