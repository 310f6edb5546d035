"""NVDEC's surfaces become frames, and whatever stands in its way is said with the remedy; made up where no GPU is."""

from __future__ import annotations

import contextlib
import gc
import itertools
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import av
import numpy as np
import pytest
from av.codec.hwaccel import HWAccel
from av.video.frame import VideoFrame

from pylfr import ops
from pylfr.errors import CudaError, MediaError
from pylfr.types import Frame
from pylfr.video.decoding import nvdec
from pylfr.video.decoding.backend import OnCpu
from pylfr.video.decoding.nvdec import Nvdec, SurfaceBuilder, require_nvdec
from pylfr.video.decoding.picture_options import AS_SENT, PictureOptions
from pylfr.video.open import LiveSource, ReconnectPolicy, decoded_by, decoding_of, open_file, open_rtsp
from pylfr.video.sources.file import FileSource
from pylfr.video.sources.live import Connection
from tests.conftest import why_not_cuda
from tests.devices import needs_a_gpu
from tests.samples import NOON
from tests.video.clips import write_clip
from tests.video.surfaces import HostSurfaceBuilder, MadeUpPicture, made_up


def built(picture: MadeUpPicture) -> Frame:
    builder = HostSurfaceBuilder("gate")
    return builder.build(cast("VideoFrame", picture), sequence=7, captured_at=NOON)


@pytest.mark.parametrize(("width", "height"), [(64, 48), (51, 37), (1, 1), (2, 1)])
def test_a_surface_is_read_where_it_lies_like_the_same_planes_of_the_host(width: int, height: int) -> None:
    picture, planes = made_up(width, height)
    there = built(picture)
    here = Frame(
        camera="gate",
        sequence=7,
        captured_at=NOON,
        planes=tuple(np.ascontiguousarray(plane) for plane in planes),
        layout="nv12",
        matrix="bt709",
        full_range=True,
    )
    assert (there.planes, there.layout, there.matrix, there.full_range) == ((), "nv12", "bt709", True)
    assert (there.width, there.height, there.sequence) == (width, height, 7)
    assert [cast("ops.Tensor", each).pointer for each in there.surfaces] == [each.ctypes.data for each in picture.held]
    stream = ops.Stream("cpu")
    tensor = ops.Tensor((1, 3, 32, 32), "float32", stream)
    plain = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    ops.upload([there], ops.Staging(stream)).letterbox(tensor, bgr=False, mean=plain[0], scale=plain[1])
    wanted, _ = ops.letterbox([here], width=32, height=32, bgr=False, mean=plain[0], scale=plain[1])
    got = np.empty_like(wanted)
    tensor.copy_to(got, stream)
    assert np.array_equal(got, wanted)
    whole = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    crop, same = (ops.crop_rgb(frame, whole, width=width, height=height) for frame in (there, here))
    assert np.array_equal(crop, same)


def test_a_frame_keeps_its_surfaces_and_lets_them_go() -> None:
    picture, _ = made_up(64, 48)
    plane = weakref.ref(picture.planes[0])
    frame = built(picture)
    del picture
    gc.collect()
    assert plane() is not None
    del frame
    gc.collect()
    assert plane() is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "yuv420p"}, r"'gate' must be decoded by NVDEC, got a picture of the CPU's decoder \(yuv420p\).*cpu"),
        ({"inside": "p010le"}, r"'gate' must send 4:2:0 of 8 bits for NVDEC, got p010le.*decode = \"cpu\""),
        ({"inside": "yuv444p"}, "got yuv444p"),
        ({"rotation": -90}, "got pictures to be turned by 90 degrees"),
    ],
)
def test_a_picture_that_is_no_upright_surface_of_8_bits_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(MediaError, match=words):
        built(made_up(64, 48, **changes)[0])


def test_interlaced_pictures_are_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    builder = HostSurfaceBuilder("gate")
    for number, interlaced in enumerate((False, True, True, False)):
        picture, _ = made_up(64, 48, interlaced_frame=interlaced)
        builder.build(cast("VideoFrame", picture), sequence=number, captured_at=NOON)
    assert builder.interlaced == 2
    [said] = [record.getMessage() for record in caplog.records]
    assert "camera gate sends interlaced pictures, which NVDEC leaves as they are" in said
    assert 'decode = "cpu"' in said


class Machine:
    """A machine on which NVDEC can be opened, until a test takes something away."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self.set("hwdevices_available", lambda: ["cuda"])
        self.set("_load", lambda _: None)
        self.set("ops", SimpleNamespace(require_device=lambda _: None))
        self.opens(lambda _: None)

    def set(self, name: str, value: object) -> None:
        self._patch.setattr(nvdec, name, value)

    def opens(self, create: Callable[[object], None]) -> None:
        self._patch.setattr(Nvdec, "accelerator", lambda _: SimpleNamespace(create=create))

    def lacks(self, library: str) -> None:
        def load(name: str) -> None:
            if name == library:
                raise OSError(f"{name}: cannot open shared object file")

        self.set("_load", load)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def failing(error: Exception) -> Callable[[object], None]:
    def fail(_: object) -> None:
        raise error

    return fail


def test_where_everything_is_there_nothing_is_refused(machine: Machine) -> None:
    require_nvdec()


def test_a_pyav_without_nvdec_is_named(machine: Machine) -> None:
    machine.set("hwdevices_available", lambda: ["qsv", "drm"])
    with pytest.raises(CudaError, match=r"got PyAV [\d.]+ without it: install the wheel of PyAV.*--enable-nvdec"):
        require_nvdec()


def test_a_pyav_whose_pictures_cannot_stay_is_named(machine: Machine) -> None:
    machine.set("av", SimpleNamespace(__version__="17.1.0"))
    with pytest.raises(CudaError, match=r"needs PyAV 18 or newer.*got 17\.1\.0: upgrade it, or set decode"):
        require_nvdec()


@pytest.mark.parametrize(
    ("library", "words"),
    [
        ("libcuda.so.1", "needs the driver of NVIDIA, libcuda.so.1.*install NVIDIA's driver"),
        ("libnvcuvid.so.1", "needs the video library of NVIDIA, libnvcuvid.so.1.*DRIVER_CAPABILITIES.*video"),
    ],
)
def test_a_missing_library_is_named_with_what_brings_it(machine: Machine, library: str, words: str) -> None:
    machine.lacks(library)
    with pytest.raises(CudaError, match=words):
        require_nvdec()


def test_a_build_of_the_core_without_a_device_is_refused_as_everywhere(machine: Machine) -> None:
    machine.set("ops", SimpleNamespace(require_device=failing(CudaError("no CUDA device was found"))))
    with pytest.raises(CudaError, match="no CUDA device was found"):
        require_nvdec()


@pytest.mark.parametrize(
    "error",
    [av.error.PermissionError(1, "Operation not permitted"), av.error.ExternalError(1, "Generic error")],
    ids=["not permitted", "external"],
)
def test_a_gpu_that_ffmpeg_cannot_open_is_refused(machine: Machine, error: Exception) -> None:
    machine.opens(failing(error))
    with pytest.raises(CudaError, match=r"FFmpeg can open, and it cannot \(.+\): check nvidia-smi.*or set decode"):
        require_nvdec()


@pytest.mark.skipif(why_not_cuda() is None, reason="a CUDA device is here: there is nothing to refuse")
def test_without_a_gpu_nothing_is_opened_and_nothing_decoded_on_the_cpu(tmp_path: Path) -> None:
    with pytest.raises(CudaError, match=r"cuda|nvdec"):
        open_rtsp("rtsp://192.0.2.1/a", camera="gate", decode="nvdec")
    clip = write_clip(tmp_path / "a.mp4", frames=2)
    with pytest.raises(CudaError, match=r"cuda|nvdec"):
        open_file(clip, camera="gate", started_at=NOON, isolation="none", decode="nvdec")


@pytest.mark.skipif(why_not_cuda() is None, reason="a CUDA device is here: PyAV opens it")
def test_without_a_gpu_pyav_says_that_it_is_not_permitted(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=2)
    accelerator = HWAccel("cuda", is_hw_owned=True, allow_software_fallback=False)
    with pytest.raises(MediaError, match=r"NVDEC decodes, got Operation not permitted"), Nvdec().refusing("gate"):
        av.open(str(clip), hwaccel=accelerator)


def test_a_stream_that_pyav_gives_to_the_cpu_in_silence_is_refused(tmp_path: Path) -> None:
    class Silent(Nvdec):
        def accelerator(self) -> None:  # type: ignore[override]
            return None

        def builder(self, camera: str, options: PictureOptions = AS_SENT) -> SurfaceBuilder:
            return HostSurfaceBuilder(camera)

    clip = write_clip(tmp_path / "a.mp4", frames=2)
    source = FileSource(
        clip, camera="gate", started_at=NOON, pace="as-fast-as-possible", loop=False, threads=1, decoding=Silent()
    )
    assert source.decoder == "NVDEC"
    with pytest.raises(MediaError, match=r"'gate' must send .* got a stream that PyAV gives to h264"):
        source.check()
    live = LiveSource(
        str(clip),
        camera="gate",
        connection=Connection(input_format=None),
        patience=ReconnectPolicy(),
        threads=1,
        decoding=Silent(),
    )
    with pytest.raises(MediaError, match="gives to h264"):
        list(live.frames())


@pytest.mark.parametrize(
    "error",
    [
        av.error.PermissionError(1, "Operation not permitted"),
        RuntimeError("Hardware accelerated decode requested but no stream is compatible"),
        NotImplementedError("No supported hardware config"),
        av.error.ExternalError(1, "Generic error in an external library"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_pyav_says_of_an_unfit_stream_becomes_a_refusal(error: Exception) -> None:
    with pytest.raises(MediaError, match="'gate' must send what the GPU's NVDEC decodes"), Nvdec().refusing("gate"):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        av.error.InvalidDataError(1, "Invalid data"),
        av.error.PermissionError(13, "Permission denied"),
        av.error.HTTPUnauthorizedError(1, "401"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_says_nothing_of_the_decoder_passes(error: Exception) -> None:
    with pytest.raises(type(error)), Nvdec().refusing("gate"):
        raise error


def test_a_recording_whose_first_picture_cannot_be_decoded_there_is_not_called_damaged(tmp_path: Path) -> None:
    class Refusing(OnCpu):
        asked = 0

        @contextlib.contextmanager
        def refusing(self, camera: str) -> Iterator[None]:
            self.asked += 1
            with Nvdec().refusing(camera):
                yield
                if self.asked > 1:  # the first time is for opening it
                    raise av.error.PermissionError(1, "Operation not permitted")

    source = FileSource(
        write_clip(tmp_path / "a.mp4", frames=3),
        camera="gate",
        started_at=NOON,
        pace="as-fast-as-possible",
        loop=False,
        threads=1,
        decoding=Refusing(),
    )
    with pytest.raises(MediaError, match="'gate' must send what the GPU's NVDEC decodes, got Operation not permitted"):
        list(source.frames())


def test_a_live_camera_of_key_frames_and_no_picture_is_refused(tmp_path: Path) -> None:
    class Blind(OnCpu):
        def nothing(self, camera: str) -> MediaError:  # type: ignore[override]
            return Nvdec().nothing(camera)

    path = tmp_path / "junk.mkv"
    clip = write_clip(tmp_path / "a.mkv", codec="mjpeg", pixels="yuvj420p", frames=12)
    with av.open(str(clip)) as whole, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.size:
                junk = av.Packet(bytes(64))
                junk.pts, junk.dts, junk.time_base = packet.pts, packet.dts, packet.time_base
                junk.is_keyframe, junk.stream = True, stream
                container.mux(junk)
    live = LiveSource(
        str(path),
        camera="gate",
        connection=Connection(input_format=None),
        patience=ReconnectPolicy(),
        threads=1,
        decoding=Blind(),
    )
    with pytest.raises(MediaError, match=r"'gate' must send .*got key frames of which it makes no picture"):
        list(live.frames())


def test_what_decodes_is_said_for_the_log_the_record_and_the_report(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=2)
    isolated = open_file(clip, camera="hall", started_at=NOON)
    here = open_file(clip, camera="yard", started_at=NOON, isolation="none")
    there = LiveSource(
        "rtsp://192.0.2.1/a",
        camera="gate",
        connection=Connection(input_format=None),
        patience=ReconnectPolicy(),
        threads=1,
        decoding=Nvdec(),
    )
    assert decoding_of([isolated, here]) == "isolated for 1 of 2 cameras; the others in this process"
    said = "isolated for 1 of 3 cameras; the others in this process, 1 of them by NVDEC"
    assert decoding_of([isolated, here, there]) == said
    assert [decoded_by(source) for source in (isolated, here, there)] == ["CPU", "CPU", "NVDEC"]


def test_nvdec_is_one_of_two_words_and_needs_a_process_with_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="decode must be 'cpu' or 'nvdec', got 'gpu'"):
        open_rtsp("rtsp://192.0.2.1/a", camera="gate", decode="gpu")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="decode 'nvdec' needs isolation 'none'"):
        open_file(tmp_path / "a.mp4", camera="gate", started_at=NOON, decode="nvdec")


@needs_a_gpu
@pytest.mark.cuda
@pytest.mark.parametrize(("width", "height"), [(320, 240), (322, 242), (1280, 720)])
def test_nvdec_gives_the_pictures_of_the_cpus_decoder(tmp_path: Path, width: int, height: int) -> None:
    try:
        require_nvdec()
    except CudaError as error:
        pytest.skip(str(error))
    clip = write_clip(tmp_path / "a.mp4", frames=30, width=width, height=height, colour_space=1)
    here = open_file(clip, camera="gate", started_at=NOON, isolation="none")
    there = open_file(clip, camera="gate", started_at=NOON, isolation="none", decode="nvdec")
    whole = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    count = 0
    for one, other in itertools.zip_longest(here.frames(), there.frames()):
        assert (other.device, other.layout, other.planes) == ("cuda", "nv12", ())
        assert (one.captured_at, one.matrix, one.full_range) == (other.captured_at, other.matrix, other.full_range)
        crops = [ops.crop_rgb(frame, whole, width=width, height=height).astype(int) for frame in (one, other)]
        assert np.abs(crops[0] - crops[1]).max() <= 1
        count += 1
    assert count == 30
