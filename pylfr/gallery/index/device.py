"""A gallery on a device, searched there: a coarse scan of all references, the best scored again in float32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pylfr import ops
from pylfr.errors import CudaError
from pylfr.gallery.index.ranking import Shortlist, best_entries, require_fitting, require_model_and_dimension
from pylfr.gallery.watchlist.snapshot import SnapshotIndex, WatchlistSnapshot
from pylfr.types import Candidates, Device, Float32, Precision, Templates

# Rows that are brought to the device at once.
_ROWS_A_COPY = 1 << 16

# The fewest that a coarse scan keeps: with int8's error (0.015 for 512 numbers) the k best of ten million random
# references are among them, so that a second, exact scan is rare.
_LEAST_KEPT = 64


class DeviceIndexGallery(SnapshotIndex):
    """A ``DeviceGallery`` over one snapshot, by the core's exact search. Safe for concurrent searches.

    The candidates are those of the native gallery, to the bit, whatever ``precision`` the scan has.
    """

    def __init__(self, snapshot: WatchlistSnapshot, *, precision: Precision, stream: ops.Stream) -> None:
        super().__init__(snapshot)
        self._device: Device = stream.device
        self._index = ops.SearchIndex(len(snapshot), snapshot.dimension, precision, stream)
        for start in range(0, len(snapshot), _ROWS_A_COPY):
            self._index.fill(np.ascontiguousarray(snapshot.vectors[start : start + _ROWS_A_COPY]), start)
        self._most_error = self._index.most_error

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return self._index.nbytes

    def search(self, probes: Templates, k: int) -> Candidates:
        """The k best entries for probes that lie on the host; their copy on the device is wiped."""
        require_fitting(probes, self._snapshot, k)
        stream = ops.Stream(self._device)
        there = ops.Tensor(probes.vectors.shape, "float32", stream)
        try:
            there.copy_from(np.ascontiguousarray(probes.vectors), stream)
            return self.search_on(there, model=probes.model, k=k)
        finally:
            there.wipe(stream)
            stream.synchronise()

    def search_on(self, probes: ops.Tensor, *, model: str, k: int) -> Candidates:
        require_model_and_dimension(model, probes.shape[-1], self._snapshot, k)
        return best_entries(len(probes), self._snapshot, k, self._shortlists(probes), cheap=ops.MOST_SHORTLISTED)

    def _shortlists(self, probes: ops.Tensor) -> Callable[[int], Shortlist]:
        def shortlist(count: int) -> Shortlist:
            kept = max(count, _LEAST_KEPT)
            return self._scan(probes, kept) if kept <= ops.MOST_SHORTLISTED else self._all(probes, count)

        return shortlist

    def _scan(self, probes: ops.Tensor, kept: int) -> Shortlist:
        there = self._index.search(probes, kept, probes.stream)
        found = np.empty(there.shape, np.float32)
        there.copy_to(found, probes.stream)
        # How far a coarse score may lie below the exact one: what rounding took from reference and probe (both of unit
        # length), and sums of products in another order (Higham, Accuracy and Stability, 3.1), twice. Tensor cores cut
        # what they add to 24 bits of the largest: at most 1.2 of these four parts.
        probe_error, reference_error = found[:, -1], np.float32(self._most_error)
        order = np.float32(4 * probes.shape[1] * np.finfo(np.float32).eps)
        error = probe_error * (1 + reference_error) + reference_error + order
        rows = np.ascontiguousarray(found[:, kept : 2 * kept]).view(np.int32)
        return Shortlist(
            scores=np.ascontiguousarray(found[:, :kept]), rows=rows.astype(np.int64), bound=found[:, -2] + error
        )

    def _all(self, probes: ops.Tensor, count: int) -> Shortlist:
        """By every exact score: where more is wanted than a scan keeps."""
        parts = [self._best_of_all(probes.rows(row, row + 1), count) for row in range(len(probes))]
        scores, rows = (np.concatenate(each) for each in zip(*parts, strict=True))
        return Shortlist(scores=scores, rows=rows, bound=scores.min(axis=1))

    def _best_of_all(
        self, probe: ops.Tensor, count: int
    ) -> tuple[Float32, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
        there = self._index.score_all(probe, probe.stream)
        scores = np.empty(there.shape, np.float32)
        there.copy_to(scores, probe.stream)
        rows = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        return np.take_along_axis(scores, rows, axis=1), rows.astype(np.int64)


def reference_bytes(dimension: int, precision: Precision) -> int:
    """How many bytes of a device one reference takes."""
    return ops.SearchIndex(1, dimension, precision, ops.Stream("cpu")).nbytes


def open_device_index(snapshot: WatchlistSnapshot, precision: Precision) -> DeviceIndexGallery:
    """The snapshot on CUDA. Raises ``CudaError`` where there is none, or no room on it."""
    ops.require_device("cuda")
    try:
        return DeviceIndexGallery(snapshot, precision=precision, stream=ops.Stream("cuda"))
    except CudaError as error:
        needed = len(snapshot) * reference_bytes(snapshot.dimension, precision)
        raise CudaError(
            f"{len(snapshot):,} references take {needed / (1 << 20):,.0f} MiB of the device, and could not be brought "
            f"there ({error}): device_mib in [watchlist] leaves the rest of them on the host"
        ) from error
