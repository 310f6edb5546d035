"""The stages on a device agree with those on the host; on the CPU and on CUDA."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pylfr import ops
from pylfr.errors import ConfigError
from pylfr.faces.detect import open_detector
from pylfr.faces.device.detect import DeviceDetector
from pylfr.faces.device.recognise import DeviceEmbedder, DeviceRecogniser, HostEmbedderAdapter
from pylfr.faces.device.uploads import Uploads
from pylfr.faces.embed import FaceEmbedder
from pylfr.faces.input_size import input_size
from pylfr.faces.quality import measure_quality
from pylfr.faces.recognise import FaceRecogniser
from pylfr.faces.template_pool import DeviceProbePool, ProbePool
from pylfr.gallery.index.device import DeviceIndexGallery
from pylfr.gallery.index.native import NativeGallery
from pylfr.models.store import open_store
from pylfr.runtimes.registry import open_runtime
from pylfr.types import Device, Frame, MemoryKind, Precision, UInt8, as_frames
from tests.devices import DEVICES, HostedRuntime, on_device, on_host
from tests.footage import BOTH, WALKING_AND_PAUSE, picture_of, video
from tests.gallery.snapshots import snapshot_of, unit

EMBEDDER = "pylfr_nano_embed"


def host_embedder() -> FaceEmbedder:
    """On the host, with the whole network in its runtime, as on the device: the two must agree to the bit."""
    model = open_store().resolve(EMBEDDER)
    return FaceEmbedder(model.manifest, open_runtime(model), model=model.sha256)


@pytest.fixture(params=DEVICES)
def uploads(request: pytest.FixtureRequest) -> Uploads:
    device: Device = request.param
    return Uploads(ops.Stream(device))


@pytest.fixture(scope="module")
def frames(media_dir: Path) -> tuple[Frame, ...]:
    """Three people, two people in another size, and nobody."""
    three = picture_of(video(media_dir, WALKING_AND_PAUSE), 30)
    two = picture_of(video(media_dir, BOTH), 30)
    pictures: list[UInt8] = [three, np.ascontiguousarray(two[:, :400]), np.zeros((90, 60, 3), np.uint8)]
    return as_frames(pictures)


def detector_on(uploads: Uploads, name: str, *, score_floor: float) -> DeviceDetector:
    model = open_store().resolve(name)
    runtime = HostedRuntime(open_runtime(model), uploads.stream.device)
    return DeviceDetector(
        model.manifest,
        runtime,
        uploads,
        model=model.sha256,
        side_px=640,
        score_floor=score_floor,
        stream=ops.Stream(uploads.stream.device),
    )


def embedder_on(uploads: Uploads) -> DeviceEmbedder:
    model = open_store().resolve(EMBEDDER)
    runtime = HostedRuntime(open_runtime(model), uploads.stream.device)
    stream = ops.Stream(uploads.stream.device)
    return DeviceEmbedder(model.manifest, runtime, uploads, model=model.sha256, stream=stream)


@pytest.mark.usefixtures("models_dir")
@pytest.mark.parametrize("name", ["yunet_n", "scrfd_500m_kps"])
@pytest.mark.parametrize("score_floor", [0.5, 0.02, 0.99])
def test_a_detector_on_the_device_finds_the_faces_of_the_host(
    uploads: Uploads, frames: tuple[Frame, ...], name: str, score_floor: float
) -> None:
    host = open_detector(name, side_px=640, score_floor=score_floor)
    # A device takes the frames of a batch in one size; the host alone gives each its own.
    wanted = host.detect_at(frames, input_size(host.manifest.detection, frames, side_px=640))
    detector = detector_on(uploads, name, score_floor=score_floor)
    got = detector.with_score_floor(score_floor).detect(frames)
    assert got.frame_index.tolist() == wanted.frame_index.tolist()
    np.testing.assert_allclose(got.boxes, wanted.boxes, rtol=1e-5, atol=1e-3)
    assert got.scores.tobytes() == wanted.scores.tobytes()
    assert got.landmarks.tobytes() == wanted.landmarks.tobytes()
    if uploads.stream.device == "cpu":
        assert got.boxes.tobytes() == wanted.boxes.tobytes()
    np.testing.assert_allclose(
        measure_quality(frames, got).score, measure_quality(frames, wanted).score, rtol=1e-4, atol=1e-3
    )
    assert got.scenes is not None
    assert got.scenes.tobytes() == ops.measure_scenes(frames).tobytes()
    assert detector.detect([]).boxes.shape == (0, 4)


class HalfRuntime(HostedRuntime):
    """A network that is given float16 [B, H, W, 3]."""

    takes_halves = True

    def run_on(self, stream: ops.Stream, tensor: ops.Tensor, outputs: Mapping[str, ops.Tensor]) -> None:
        assert tensor.dtype == "float16"
        halves = np.empty(tensor.shape, np.float16)
        tensor.copy_to(halves, stream)
        planes = np.ascontiguousarray(halves.transpose(0, 3, 1, 2).astype(np.float32))
        super().run_on(stream, on_device(planes, stream), outputs)


def test_pictures_in_fp16_as_the_network_reads_them_give_the_same_faces(
    uploads: Uploads, frames: tuple[Frame, ...]
) -> None:
    detector = detector_on(uploads, "pylfr_nano_detect", score_floor=0.5)
    wanted = detector.detect(frames)
    detector._runtime = HalfRuntime(open_runtime(open_store().resolve("pylfr_nano_detect")), uploads.stream.device)
    got = detector.detect(frames)
    assert got.frame_index.tolist() == wanted.frame_index.tolist()
    assert len(got) > 0
    # Half a level of 255 was rounded away.
    np.testing.assert_allclose(got.boxes, wanted.boxes, atol=0.5)
    np.testing.assert_allclose(got.scores, wanted.scores, atol=5e-3)


def test_a_second_batch_may_begin_before_the_first_is_collected(uploads: Uploads, frames: tuple[Frame, ...]) -> None:
    """Also where the first has more faces than there was room for, and is searched again behind the second."""
    detector = detector_on(uploads, "pylfr_nano_detect", score_floor=0.02)
    batches = [tuple(frames), frames[:1], (), frames[1:], tuple(frames)]
    wanted = [detector_on(uploads, "pylfr_nano_detect", score_floor=0.02).detect(batch) for batch in batches]
    assert len(wanted[0]) > 3
    detector._room.faces = 1
    begun = [detector.begin(batches[0])]
    got = []
    for batch in (*batches[1:], None):
        if batch is not None:
            begun.append(detector.begin(batch))
        got.append(begun.pop(0)())
    for one, other in zip(got, wanted, strict=True):
        assert one.frame_index.tolist() == other.frame_index.tolist()
        assert one.boxes.tobytes() == other.boxes.tobytes()
        assert measure_quality(frames, one).score.tobytes() == measure_quality(frames, other).score.tobytes()


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_candidates_of_the_device_are_those_of_the_host(
    uploads: Uploads, frames: tuple[Frame, ...], precision: Precision
) -> None:
    faces = open_detector("pylfr_nano_detect").detect(frames)
    assert len(faces) >= 2
    host = host_embedder()
    there = embedder_on(uploads)
    crops = there.align(frames, faces)
    assert on_host(crops, there.stream).tobytes() == host.align(frames, faces).tobytes()

    draw = np.random.default_rng(0)
    vectors = unit(draw.standard_normal((400, host.dimension)).astype(np.float32))
    vectors[7] = host.embed(host.align(frames, faces)).vectors[0]
    snapshot = snapshot_of(sorted([n // 2 for n in range(400)]), vectors, model=host.model)
    wanted = FaceRecogniser(host, ProbePool(rows=8, dimension=host.dimension)).recognise(
        frames, faces, NativeGallery(snapshot), 5
    )
    pool = DeviceProbePool(rows=8, dimension=host.dimension, stream=there.stream)
    gallery = DeviceIndexGallery(snapshot, precision=precision, stream=there.stream)
    recogniser = DeviceRecogniser(there, pool)
    got = recogniser.recognise(frames, faces, gallery, 5)
    assert got.entry.tolist() == wanted.entry.tolist()
    assert got.scores.tobytes() == wanted.scores.tobytes()
    assert got.entry[0, 0] == 3
    assert pool.dwell().count == len(faces)
    nobody = faces.select(np.zeros(0, np.int64))
    assert recogniser.recognise(frames, nobody, gallery, 5).scores.shape == (0, 5)


def test_a_gallery_of_the_host_is_refused_with_the_fix(uploads: Uploads, frames: tuple[Frame, ...]) -> None:
    there = embedder_on(uploads)
    pool = DeviceProbePool(rows=8, dimension=there.dimension, stream=there.stream)
    snapshot = snapshot_of([1], unit(np.ones((1, there.dimension), np.float32)), model=there.model)
    faces = open_detector("pylfr_nano_detect").detect(frames)
    with pytest.raises(ConfigError, match="choose index 'device-int8'"):
        DeviceRecogniser(there, pool).recognise(frames, faces, NativeGallery(snapshot), 5)


def test_probes_on_the_device_read_as_zeros_after_their_loan_and_after_an_error(uploads: Uploads) -> None:
    pool = DeviceProbePool(rows=4, dimension=8, stream=uploads.stream)
    with pool.borrow(3) as probes:
        probes.copy_from(np.ones((3, 8), np.float32), uploads.stream)
        assert on_host(probes, uploads.stream).all()
    assert not on_host(probes, uploads.stream).any()
    with pytest.raises(RuntimeError, match="broken"), pool.borrow(4) as probes:  # noqa: PT012
        probes.copy_from(np.ones((4, 8), np.float32), uploads.stream)
        raise RuntimeError("broken")
    assert not on_host(probes, uploads.stream).any()
    with pytest.raises(ValueError, match="a pool of 4 templates cannot lend 5"), pool.borrow(5):
        pass
    with pytest.raises(ValueError, match="1 row and 1 dimension or more"):
        DeviceProbePool(rows=0, dimension=8, stream=uploads.stream)


def test_a_batch_is_uploaded_once_for_all_stages(uploads: Uploads, frames: tuple[Frame, ...]) -> None:
    first = uploads.of(frames)
    assert uploads.of(tuple(frames)) is first
    second = uploads.of(frames[:2])
    assert second is not first
    assert uploads.of(frames) is first, "one batch is recognised while the next one is looked through"
    uploads.of(frames[:1])
    assert uploads.of(frames) is not first, "pictures of earlier batches are let go"


def test_enrolment_with_a_network_on_the_device_gives_the_templates_of_the_host(
    uploads: Uploads, frames: tuple[Frame, ...]
) -> None:
    faces = open_detector("pylfr_nano_detect").detect(frames)
    host, there = host_embedder(), HostEmbedderAdapter(embedder_on(uploads))
    assert (there.model, there.dimension, there.side_px) == (host.model, host.dimension, host.side_px)
    got = there.embed(there.align(frames, faces))
    assert got.vectors.tobytes() == host.embed(host.align(frames, faces)).vectors.tobytes()


def test_threads_that_share_the_stages_get_their_own_faces_and_candidates(
    uploads: Uploads, frames: tuple[Frame, ...]
) -> None:
    batches = [frames, frames[:1], frames[1:], frames[::-1]]
    detector, there = detector_on(uploads, "pylfr_nano_detect", score_floor=0.5), embedder_on(uploads)
    draw = np.random.default_rng(0)
    snapshot = snapshot_of(
        list(range(64)), unit(draw.standard_normal((64, there.dimension)).astype(np.float32)), model=there.model
    )
    gallery = DeviceIndexGallery(snapshot, precision="float32", stream=there.stream)
    recogniser = DeviceRecogniser(there, DeviceProbePool(rows=8, dimension=there.dimension, stream=there.stream))
    enrolling = HostEmbedderAdapter(there)

    def work(batch: tuple[Frame, ...]) -> tuple[bytes, bytes, bytes]:
        faces = detector.detect(batch)
        crops = enrolling.align(batch, faces)
        candidates = recogniser.recognise(batch, faces, gallery, 3)
        return faces.boxes.tobytes(), candidates.scores.tobytes(), enrolling.embed(crops).vectors.tobytes()

    wanted = [work(batch) for batch in batches]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(work, batches * 15))
    assert found == wanted * 15


def test_after_warm_up_a_batch_allocates_no_memory(uploads: Uploads, frames: tuple[Frame, ...]) -> None:
    detector = detector_on(uploads, "pylfr_nano_detect", score_floor=0.3)
    for _ in range(2):
        detector.detect(frames[:1])
        detector.detect(tuple(frames))
    kinds: tuple[MemoryKind, ...] = ("cpu", "cuda", "pinned") if uploads.stream.device == "cuda" else ("cpu",)
    before = [ops.memory_counts(kind).allocations for kind in kinds]
    for _ in range(3):
        detector.detect(frames[:1])
        detector.detect(tuple(frames))
    assert [ops.memory_counts(kind).allocations for kind in kinds] == before
