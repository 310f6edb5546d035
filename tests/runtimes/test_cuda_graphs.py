"""Batches go through a graph of the next larger size, give the same results, and leave no data in it."""

from __future__ import annotations

import gc
from types import SimpleNamespace

import numpy as np
import pytest

from pylfr.errors import CudaError, ModelError
from pylfr.ops import Graph, Stream, Tensor, memory_counts
from pylfr.runtimes.cuda_graphs import Enqueue, GraphedBatches
from pylfr.runtimes.tensorrt.runtime import TensorRtRuntime
from pylfr.types import Float32
from tests.runtimes.tensorrt.fake_trt import Context, Engine, floats_at, made_up_trt


@pytest.fixture
def engine() -> Engine:
    return Engine("float32")


@pytest.fixture
def runtime(engine: Engine) -> TensorRtRuntime:
    return TensorRtRuntime(made_up_trt(engine), b"engine", device="cpu")


def pictures(batch: int, *, seed: int = 0) -> Float32:
    return np.random.default_rng(seed).uniform(0.5, 1, (batch, 3, 4, 5)).astype(np.float32)


def graphs_of(runtime: TensorRtRuntime) -> GraphedBatches:
    assert runtime.graphs is not None
    return runtime.graphs


def test_batches_of_every_size_give_the_networks_answers(runtime: TensorRtRuntime) -> None:
    for seed, batch in enumerate([1, 2, 3, 4, 3, 1]):
        given = pictures(batch, seed=seed)
        results = runtime.run(given)
        np.testing.assert_allclose(results["sum"][:, 0], given.sum(axis=(1, 2, 3)), rtol=1e-6)
        np.testing.assert_allclose(results["twice"], 2 * results["sum"][:, :1].repeat(2, axis=1), rtol=1e-6)
    # One graph each for 1, 2 and 4 images: three go through that for four.
    assert (graphs_of(runtime).captured, graphs_of(runtime).replayed) == (3, 6)


def test_a_graphs_execution_context_never_sees_another_shape(runtime: TensorRtRuntime, engine: Engine) -> None:
    for batch in (1, 4, 2, 1, 3):
        runtime.run(pictures(batch))
    plain, *recorded = engine.contexts
    assert [context.shapes for context in recorded] == [[(1, 3, 4, 5)], [(4, 3, 4, 5)], [(2, 3, 4, 5)]]
    assert plain.streams == [], "it is asked for shapes, and never run"


def test_batches_of_too_many_sizes_go_without_a_graph(
    runtime: TensorRtRuntime, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pylfr.runtimes.cuda_graphs._MOST_GRAPHS", 2)
    for batch in (1, 2, 4, 1):
        given = pictures(batch)
        np.testing.assert_allclose(runtime.run(given)["sum"][:, 0], given.sum(axis=(1, 2, 3)), rtol=1e-6)
    assert (graphs_of(runtime).captured, graphs_of(runtime).replayed) == (2, 3)
    assert len(engine.contexts[0].streams) == 1


def test_a_released_network_releases_its_graphs(engine: Engine) -> None:
    gc.collect()
    before = memory_counts("cpu").lent_bytes
    runtime = TensorRtRuntime(made_up_trt(engine), b"engine", device="cpu")
    runtime.run(pictures(4))
    assert memory_counts("cpu").lent_bytes > before
    del runtime
    gc.collect()
    assert memory_counts("cpu").lent_bytes == before


def test_pictures_of_another_size_and_another_stream_have_graphs_of_their_own(runtime: TensorRtRuntime) -> None:
    runtime.run(pictures(2))
    runtime.run(pictures(2)[:, :, :3])
    assert graphs_of(runtime).captured == 2


def test_no_data_of_a_batch_remains_in_a_graphs_memory(runtime: TensorRtRuntime, engine: Engine) -> None:
    runtime.run(pictures(4))
    runtime.run(pictures(3))
    addresses = engine.context.addresses
    assert not floats_at(addresses["input"], (4, 3, 4, 5)).any()
    assert not floats_at(addresses["sum"], (4, 2)).any()
    assert not floats_at(addresses["twice"], (4, 2)).any()


def test_no_data_of_a_batch_remains_after_a_failure(runtime: TensorRtRuntime, engine: Engine) -> None:
    runtime.run(pictures(4))
    engine.fails = True
    with pytest.raises(CudaError, match="could not queue"):
        runtime.run(pictures(4))
    assert not floats_at(engine.context.addresses["input"], (4, 3, 4, 5)).any()


def test_rows_beyond_a_batch_are_zeros_and_not_an_earlier_picture(
    runtime: TensorRtRuntime, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.run(pictures(4))
    seen: list[Float32] = []
    execute = engine.context.execute_async_v3

    def watched(stream_handle: int) -> bool:
        seen.append(floats_at(engine.context.addresses["input"], engine.context.shape).copy())
        return execute(stream_handle)

    monkeypatch.setattr(engine.context, "execute_async_v3", watched)
    given = pictures(3, seed=5)
    runtime.run(given)
    (batch,) = seen
    assert np.array_equal(batch[:3], given)
    assert not batch[3:].any()


def test_the_largest_graph_has_the_engines_maximum_batch() -> None:
    made: list[int] = []

    def prepare(tensors: object) -> Enqueue:
        return lambda _: None

    def shapes(shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        made.append(shape[0])
        return {"out": (shape[0], 2)}

    graphs = GraphedBatches(prepare, input_name="in", shapes=shapes, most=6)
    stream = Stream("cpu")
    for batch in (5, 6, 4):
        graphs.run_on(stream, Tensor.borrow(pictures(batch), stream), {"out": Tensor((batch, 2), "float32", stream)})
    assert made == [6, 4]


def test_an_output_without_one_row_per_image_is_refused() -> None:
    def prepare(tensors: object) -> Enqueue:
        return lambda _: None

    graphs = GraphedBatches(prepare, input_name="in", shapes=lambda _: {"out": (7, 2)}, most=8)
    stream = Stream("cpu")
    with pytest.raises(ModelError, match=r"batch of 4 must have as many rows, got \[7, 2\]"):
        graphs.run_on(stream, Tensor.borrow(pictures(3), stream), {"out": Tensor((3, 2), "float32", stream)})


def test_a_failure_during_recording_is_reported_with_the_fix(
    runtime: TensorRtRuntime, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        def __init__(self, stream: Stream, work: object) -> None:
            raise CudaError("cudaErrorStreamCaptureUnsupported")

    monkeypatch.setattr("pylfr.runtimes.cuda_graphs.Graph", Refusing)
    with pytest.raises(CudaError, match=r"\[2, 3, 4, 5\].*CaptureUnsupported.*graphs = false in"):
        runtime.run(pictures(2))
    plain = TensorRtRuntime(made_up_trt(engine), b"engine", device="cpu", graphs=False)
    assert plain.graphs is None
    assert plain.run(pictures(2))["sum"].shape == (2, 2)


def test_a_library_that_records_graphs_itself_does_so(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    module = made_up_trt(engine)
    module.CudaGraphStrategy = SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole")  # type: ignore[attr-defined]
    config = SimpleNamespace(cuda_graph_strategy=None)
    monkeypatch.setattr(engine, "create_runtime_config", lambda: config, raising=False)
    monkeypatch.setattr(engine, "create_execution_context", lambda *_: Context())
    assert TensorRtRuntime(module, b"engine", device="cpu").graphs is None
    assert config.cuda_graph_strategy == "whole"
    config.cuda_graph_strategy = None
    assert TensorRtRuntime(module, b"engine", device="cpu", graphs=False).graphs is None
    assert config.cuda_graph_strategy is None, "it was not wanted"


def test_a_graph_on_the_cpu_does_the_work_again() -> None:
    done: list[int] = []
    stream = Stream("cpu")
    graph = Graph(stream, lambda: done.append(len(done)))
    assert done == []
    graph.replay(stream)
    graph.replay(stream)
    assert done == [0, 1]


def test_a_tensor_takes_only_tensors_of_its_own_kind() -> None:
    stream = Stream("cpu")
    taken = Tensor((2, 3), "float32", stream)
    taken.take(Tensor.borrow(np.arange(6, dtype=np.float32).reshape(2, 3), stream), stream)
    assert np.from_dlpack(taken).tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ValueError, match="own shape and dtype"):
        taken.take(Tensor((3, 2), "float32", stream), stream)
    with pytest.raises(ValueError, match="own shape and dtype"):
        taken.take(Tensor((2, 3), "float16", stream), stream)
    frozen = np.zeros((2, 3), np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        Tensor.borrow(frozen, stream).take(taken, stream)
    padded = Tensor.borrow(np.zeros((2, 4), np.float32)[:, :3], stream)
    with pytest.raises(ValueError, match="padded rows"):
        taken.take(padded, stream)
    with pytest.raises(ValueError, match="padded rows"):
        padded.take(taken, stream)


@pytest.mark.cuda
def test_work_on_a_device_is_recorded_and_replayed() -> None:
    stream = Stream("cuda")
    source, target = (Tensor((4, 4), "float32", stream) for _ in range(2))
    target.wipe(stream)
    graph = Graph(stream, lambda: target.take(source, stream))
    back = np.empty((4, 4), np.float32)
    target.copy_to(back, stream)
    assert not back.any()
    for value in (1.0, 2.0):
        source.copy_from(np.full((4, 4), value, np.float32), stream)
        graph.replay(stream)
        target.copy_to(back, stream)
        assert (back == value).all()


@pytest.mark.cuda
def test_work_that_cannot_be_recorded_is_an_error_and_the_stream_stays_usable() -> None:
    stream = Stream("cuda")
    tensor = Tensor((4,), "float32", stream)
    with pytest.raises(CudaError):
        Graph(stream, stream.synchronise)
    tensor.wipe(stream)
    stream.synchronise()
