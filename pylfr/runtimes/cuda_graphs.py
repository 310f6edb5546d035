"""A network as CUDA graphs, one per batch size: the work that a library queues is recorded once and replayed.

A graph refers to fixed addresses, so batches are copied into fixed memory, which is wiped after every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pylfr.errors import CudaError, ModelError
from pylfr.ops import Graph, Stream, Tensor

# Queues the network on a stream, for the tensors that it was prepared with.
Enqueue = Callable[[Stream], None]

# Each holds memory permanently, its own and the library's: further batch sizes run without a graph.
_MOST_GRAPHS = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Bucket:
    given: Tensor
    results: Mapping[str, Tensor]
    # Retained with its graph, which uses the state that the library prepared.
    enqueue: Enqueue
    graph: Graph


class GraphedBatches:
    """Runs batches of any size up to ``most`` through graphs for 1, 2, 4, ... and ``most`` images of one size.

    ``prepare`` returns a function that queues the network for named tensors, each time with state of its own: a graph
    becomes invalid if the state it was recorded from is used for another shape. ``captured`` counts the graphs,
    ``replayed`` the batches that went through them.
    """

    def __init__(
        self,
        prepare: Callable[[Mapping[str, Tensor]], Enqueue],
        *,
        input_name: str,
        shapes: Callable[[tuple[int, ...]], Mapping[str, tuple[int, ...]]],
        most: int,
    ) -> None:
        self._prepare = prepare
        self._input_name = input_name
        self._shapes = shapes
        self._most = most
        # A graph belongs to one stream: its memory does, and keeps the stream alive.
        self._buckets: dict[tuple[int, tuple[int, ...], int], _Bucket] = {}
        self.replayed = 0

    @property
    def captured(self) -> int:
        return len(self._buckets)

    def run_on(self, stream: Stream, tensor: Tensor, outputs: Mapping[str, Tensor]) -> bool:
        """As ``DeviceRuntime.run_on``; False, and nothing done, once the number of graphs has reached its limit.

        Raises ``CudaError`` if the network cannot be recorded.
        """
        count = len(tensor)
        size = min(1 << (count - 1).bit_length(), self._most)
        picture = tuple(tensor.shape[1:])
        bucket = self._buckets.get((size, picture, stream.handle))
        if bucket is None:
            if len(self._buckets) >= _MOST_GRAPHS:
                return False
            bucket = self._capture(stream, (size, *picture))
            self._buckets[size, picture, stream.handle] = bucket
        try:
            bucket.given.rows(0, count).take(tensor, stream)
            bucket.graph.replay(stream)
            self.replayed += 1
            for name, output in outputs.items():
                output.take(_first(bucket.results[name], count, size), stream)
        finally:
            # Also after a failure: the memory persists, and the next batch may be smaller.
            for each in (bucket.given, *bucket.results.values()):
                each.wipe(stream)
        return True

    def _capture(self, stream: Stream, shape: tuple[int, ...]) -> _Bucket:
        given = Tensor(shape, "float32", stream)
        results = {name: Tensor(each, "float32", stream) for name, each in self._shapes(shape).items()}
        given.wipe(stream)
        enqueue = self._prepare({self._input_name: given, **results})
        # On first use a library prepares the shape, which cannot be recorded.
        enqueue(stream)
        try:
            graph = Graph(stream, lambda: enqueue(stream))
        except CudaError as error:
            raise CudaError(
                f"a batch of {list(shape)} cannot be recorded as a CUDA graph ({error}): set graphs = false in "
                "[models] (graphs=False where a network is opened), which queues every batch individually"
            ) from error
        return _Bucket(given=given, results=results, enqueue=enqueue, graph=graph)


def _first(result: Tensor, count: int, size: int) -> Tensor:
    """The first ``count`` rows; exports for one image may omit the batch axis."""
    if count == size:
        return result
    if result.shape[0] != size:
        raise ModelError(f"an output of a batch of {size} must have as many rows, got {list(result.shape)}")
    return result.rows(0, count)
