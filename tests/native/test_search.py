from __future__ import annotations

import numpy as np
import pytest

from pylfr import ops
from pylfr.types import Float32


def unit_rows(count: int, dimension: int, seed: int = 0) -> Float32:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    ops.normalise(rows)
    return rows


@pytest.mark.parametrize("probes", [0, 1, 2, 4, 5, 11])
@pytest.mark.parametrize("references", [0, 1, 3, 64, 1001])
@pytest.mark.parametrize("dimension", [1, 7, 128, 515])
def test_search_finds_the_largest_dot_products(probes: int, references: int, dimension: int) -> None:
    left, right = unit_rows(probes, dimension, 1), unit_rows(references, dimension, 2)
    scores, rows = ops.search_exact(left, right, 5)
    assert scores.shape == rows.shape == (probes, 5)
    exact = left.astype(np.float64) @ right.astype(np.float64).T
    kept = min(5, references)
    np.testing.assert_allclose(scores[:, :kept], -np.sort(-exact, axis=1)[:, :kept], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(exact, rows[:, :kept], axis=1), scores[:, :kept], atol=1e-5)
    assert (scores[:, kept:] == -1).all()
    assert (rows[:, kept:] == -1).all()
    assert all(len(set(row[:kept])) == kept for row in rows.tolist())


def test_a_probe_scores_the_same_bits_alone_and_among_others() -> None:
    probes, references = unit_rows(9, 509, 3), unit_rows(777, 509, 4)
    together, rows = ops.search_exact(probes, references, 7)
    for index in range(len(probes)):
        alone, alone_rows = ops.search_exact(probes[index : index + 1], references, 7)
        assert alone.tobytes() == together[index].tobytes()
        assert alone_rows.tobytes() == rows[index].tobytes()


def test_of_more_probes_than_are_scored_at_once_each_finds_what_it_finds_alone() -> None:
    probes, references = unit_rows(600, 3, 3), unit_rows(30_000, 3, 4)
    together, rows = ops.search_exact(probes, references, 4)
    for index in (0, 255, 256, 511, 512, 599):
        alone, alone_rows = ops.search_exact(probes[index : index + 1], references, 4)
        assert alone.tobytes() == together[index].tobytes()
        assert alone_rows.tobytes() == rows[index].tobytes()


def test_of_equal_scores_the_earlier_reference_comes_first() -> None:
    references = np.tile(unit_rows(1, 64), (200, 1))
    _, rows = ops.search_exact(references[:1], references, 6)
    assert rows.tolist() == [[0, 1, 2, 3, 4, 5]]


def test_what_is_no_number_is_never_found() -> None:
    references = unit_rows(4, 32)
    references[1, 5] = np.nan
    scores, rows = ops.search_exact(references[:1].copy(), references, 4)
    assert rows[0, 0] == 0
    assert 1 not in rows
    assert rows[0, 3] == -1
    assert scores[0, 3] == -1


def test_search_refuses_what_does_not_fit() -> None:
    rows = unit_rows(3, 16)
    with pytest.raises(ValueError, match=r"references must be float32 \[any, 16\], got shape \[3, 8\]"):
        ops.search_exact(rows, np.ascontiguousarray(rows[:, :8]), 1)
    with pytest.raises(ValueError, match="k must be 1 or more, got 0"):
        ops.search_exact(rows, rows, 0)
    with pytest.raises(TypeError, match="probes must be float32"):
        ops.search_exact(rows.astype(np.float16), rows, 1)
    with pytest.raises(ValueError, match="C-contiguous"):
        ops.search_exact(rows[:, ::2], np.ascontiguousarray(rows[:, ::2]), 1)


@pytest.mark.parametrize("references", [0, 1, 3, 64, 1001])
@pytest.mark.parametrize("k", [1, 4, 50])
def test_entries_are_ranked_by_their_best_reference(references: int, k: int) -> None:
    probes, rows = unit_rows(5, 40, 1), unit_rows(references, 40, 2)
    entry = np.sort(np.random.default_rng(references).integers(3, 3 + max(1, references // 3), references))
    scores, entries = ops.search_entries(probes, rows, ops.EntryNumbers(entry), k)
    every, order = ops.search_exact(probes, rows, max(1, references))
    for row in range(len(probes)):
        best: dict[int, float] = {}
        for score, reference in zip(every[row].tolist(), order[row].tolist(), strict=True):
            if reference >= 0:
                best.setdefault(int(entry[reference]), score)
        ranked = sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:k]
        missing = k - len(ranked)
        assert entries[row].tolist() == [number for number, _ in ranked] + [-1] * missing
        assert scores[row].tolist() == [score for _, score in ranked] + [-1.0] * missing


def test_entries_that_do_not_rise_are_refused() -> None:
    with pytest.raises(ValueError, match="entry must be in rising order, got 1 after 2 at 3"):
        ops.EntryNumbers(np.array([1, 1, 2, 1]))
    with pytest.raises(ValueError, match=r"entry must be int64 \[any\], got shape \[1, 2\]"):
        ops.EntryNumbers(np.array([[1, 2]]))
    with pytest.raises(TypeError, match="entry must be int64"):
        ops.EntryNumbers(np.array([1, 2], np.int32))


def test_every_reference_has_an_entry_and_entries_that_change_afterwards_change_no_search() -> None:
    rows, numbers = unit_rows(3, 8), np.array([1, 2, 3])
    entry = ops.EntryNumbers(numbers)
    assert len(entry) == 3
    with pytest.raises(ValueError, match=r"references must be float32 \[3, 8\], got shape \[2, 8\]"):
        ops.search_entries(rows, rows[:2], entry, 2)
    numbers[:] = 9, -9, 0
    _, found = ops.search_entries(rows, rows, entry, 1)
    assert found.tolist() == [[1], [2], [3]]


@pytest.mark.parametrize("dimension", [1, 5, 128, 512])
def test_normalising_gives_unit_rows_and_their_lengths(dimension: int) -> None:
    rows = np.random.default_rng(0).standard_normal((10, dimension)).astype(np.float32) * 7
    before = rows.astype(np.float64)
    lengths = ops.normalise(rows)
    np.testing.assert_allclose(lengths, np.linalg.norm(before, axis=1), rtol=1e-5)
    np.testing.assert_allclose(rows, before / np.linalg.norm(before, axis=1, keepdims=True), rtol=1e-5)


def test_a_row_of_zeros_stays_one_and_no_rows_are_fine() -> None:
    rows = np.zeros((2, 8), np.float32)
    rows[1, 3] = 2
    assert ops.normalise(rows).tolist() == [0, 2]
    assert rows.tolist() == [[0] * 8, [0, 0, 0, 1, 0, 0, 0, 0]]
    assert ops.normalise(np.empty((0, 8), np.float32)).shape == (0,)


def test_normalising_refuses_what_it_cannot_write_to() -> None:
    rows = np.ones((2, 4), np.float32)
    rows.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        ops.normalise(rows)
    with pytest.raises(TypeError, match="vectors must be float32"):
        ops.normalise(np.ones((2, 4)))  # type: ignore[arg-type]


def test_rows_of_no_numbers_are_refused_however_many_they_are() -> None:
    endless = np.broadcast_to(np.zeros((1, 0), np.float32), (2**40, 0))
    with pytest.raises(ValueError, match="one number a row or more"):
        ops.search_exact(np.zeros((2, 0), np.float32), endless, 1)
    with pytest.raises(ValueError, match="one number a row or more"):
        ops.search_entries(np.zeros((2, 0), np.float32), endless[:3], ops.EntryNumbers(np.arange(3)), 1)
