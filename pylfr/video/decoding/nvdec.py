"""NVDEC: pictures decoded on the GPU, whose surfaces become frames without passing through the host.

FFmpeg decodes on CUDA's default stream, into surfaces of its own that live as long as their frame. What NVDEC cannot
do is refused with the reason: nothing is decoded on the CPU instead.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from fractions import Fraction
from functools import partial

import av
from av.codec.hwaccel import HWAccel, HWDeviceType, hwdevices_available
from av.sidedata.sidedata import SideData
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane

from pylfr import ops
from pylfr.errors import CudaError, MediaError
from pylfr.types import DeviceArray, Frame
from pylfr.video.decoding.frame_builder import colour_of, reason_of
from pylfr.video.decoding.geometry import SQUARE, UPRIGHT, orientation_of, side_data_of, square_size
from pylfr.video.decoding.picture_options import AS_SENT, PictureOptions

log = logging.getLogger(__name__)

_INSTEAD = 'or set decode = "cpu" for this camera'

_LEAST_PYAV = 18

# The default stream in the words of __cuda_array_interface__: what FFmpeg queues its work on.
_DEFAULT_STREAM = 1

# The context that is current: one of FFmpeg's own could not lend its memory, and it refuses a primary one in use.
_CONTEXT: dict[str, object] = {"primary_ctx": "0", "current_ctx": "1"}


class Surface:
    """One plane of a decoded picture on the device, uint8, as ``__cuda_array_interface__``; it keeps the picture.

    PyAV's own ``__dlpack__`` takes no stream, and rounds the colour planes of odd sizes down.
    """

    def __init__(self, plane: VideoPlane, shape: tuple[int, ...]) -> None:
        self._plane = plane
        self._shape = shape

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        pixel = 1 if len(self._shape) == 2 else self._shape[2]
        return {
            "version": 3,
            "typestr": "|u1",
            "data": (self._plane.buffer_ptr, True),
            "shape": self._shape,
            "strides": (self._plane.line_size, pixel, 1)[: len(self._shape)],
            "stream": _DEFAULT_STREAM,
        }


class SurfaceBuilder:
    """Turns one camera's pictures on the device into frames, all planes taken over by ``borrow``: nothing is copied.

    ``interlaced`` pictures are counted: both their fields stay, which is logged once.
    """

    def __init__(
        self,
        camera: str,
        borrow: Callable[[Sequence[Surface]], Sequence[DeviceArray]],
        options: PictureOptions = AS_SENT,
    ) -> None:
        self._camera = camera
        self._options = options
        self._borrow = borrow
        self.interlaced = 0

    def build(
        self, picture: VideoFrame, *, sequence: int, captured_at: datetime, sample_aspect: Fraction = SQUARE
    ) -> Frame:
        """The frame of ``picture``. Raises ``MediaError`` for one of the host, of more than 8 bits, or turned."""
        inside = picture.sw_format
        if picture.format.name != "cuda" or inside is None:
            raise MediaError(
                f"camera {self._camera!r} must be decoded by NVDEC, got a picture of the CPU's decoder "
                f"({picture.format.name}): the GPU does not take this stream; recode it, {_INSTEAD}"
            )
        if inside.name != "nv12":
            raise MediaError(
                f"camera {self._camera!r} must send 4:2:0 of 8 bits for NVDEC, got {inside.name}: change the camera's "
                f"profile, {_INSTEAD}"
            )
        orientation = orientation_of(self.side_data(picture)).turned(self._options.rotate)
        if orientation != UPRIGHT:
            raise MediaError(
                f"camera {self._camera!r} must send upright pictures for NVDEC, got pictures to be {orientation}: "
                f"recode it, {_INSTEAD}"
            )
        aspect = self._options.sample_aspect or sample_aspect
        size = picture.width, picture.height
        if square_size(*size, aspect) != size:
            raise MediaError(
                f"camera {self._camera!r} must send square pixels for NVDEC, got {aspect.numerator}:"
                f"{aspect.denominator}: recode it, {_INSTEAD}"
            )
        if picture.interlaced_frame:
            self._count_interlaced()
        luma, colour = picture.planes
        half = ((picture.height + 1) // 2, (picture.width + 1) // 2)
        matrix, full_range = colour_of(picture)
        surfaces = Surface(luma, (picture.height, picture.width)), Surface(colour, (*half, 2))
        return Frame(
            camera=self._camera,
            sequence=sequence,
            captured_at=captured_at,
            planes=(),
            surfaces=tuple(self._borrow(surfaces)),
            layout="nv12",
            matrix=matrix,
            full_range=full_range,
        )

    def side_data(self, picture: VideoFrame) -> Iterable[SideData]:
        """The side data of ``picture``, which may hold its orientation."""
        return side_data_of(picture)

    def _count_interlaced(self) -> None:
        self.interlaced += 1
        if self.interlaced == 1:
            log.warning(
                "camera %s sends interlaced pictures, which NVDEC leaves as they are: faces that move may be missed; "
                'set the camera to progressive pictures, or decode = "cpu", which analyses one field of each',
                self._camera,
            )


class Nvdec:
    """A ``Decoding`` on the GPU. ``require_nvdec`` says beforehand whether it can be had."""

    name = "NVDEC"

    def accelerator(self) -> HWAccel:
        # A thread has a current context once it has made something there.
        ops.Stream("cuda")
        return HWAccel("cuda", allow_software_fallback=False, is_hw_owned=True, options=dict(_CONTEXT))

    def builder(self, camera: str, options: PictureOptions = AS_SENT) -> SurfaceBuilder:
        return SurfaceBuilder(camera, partial(ops.Tensor.borrow_together, stream=ops.Stream("cuda")), options)

    def accept(self, context: VideoCodecContext, camera: str) -> None:
        """Raises ``MediaError`` where PyAV has opened the CPU's decoder, which it does in silence."""
        if not context.is_hwaccel:
            raise _unfit(camera, f"a stream that PyAV gives to {context.codec.name}, which has no NVDEC")

    @contextlib.contextmanager
    def refusing(self, camera: str) -> Iterator[None]:
        """Turns what PyAV says where NVDEC does not take a stream into ``MediaError``; other errors pass."""
        try:
            yield
        except (av.error.FFmpegError, NotImplementedError, RuntimeError) as error:
            if not _is_of_nvdec(error):
                raise
            raise _unfit(camera, _words(error)) from error

    def nothing(self, camera: str) -> MediaError:
        """The error where key frames are sent and no picture comes out."""
        return _unfit(camera, "key frames of which it makes no picture")


def require_nvdec() -> None:
    """Raises ``CudaError`` that names the cause and what to do, unless NVDEC can be opened here.

    Whether the GPU takes a stream's codec, profile and size shows when its first picture is decoded.
    """
    if int(av.__version__.split(".")[0]) < _LEAST_PYAV:
        raise CudaError(
            f'decode = "nvdec" needs PyAV {_LEAST_PYAV} or newer, whose pictures can stay on the GPU, got '
            f'{av.__version__}: upgrade it, or set decode = "cpu"'
        )
    if "cuda" not in hwdevices_available() or not _has_nvdec("h264"):
        raise CudaError(
            f'decode = "nvdec" needs a PyAV whose FFmpeg has NVDEC, got PyAV {av.__version__} without it: install '
            'the wheel of PyAV, or build FFmpeg with --enable-nvdec, or set decode = "cpu"'
        )
    for library, role, remedy in (
        ("libcuda.so.1", "driver", "install NVIDIA's driver"),
        ("libnvcuvid.so.1", "video library", "install the driver's decoding package"),
    ):
        try:
            _load(library)
        except OSError as error:
            raise CudaError(
                f'decode = "nvdec" needs the {role} of NVIDIA, {library}, which cannot be loaded ({error}): {remedy}; '
                "in a container give it the GPU with NVIDIA_DRIVER_CAPABILITIES=compute,utility,video; or set decode = "
                '"cpu"'
            ) from error
    ops.require_device("cuda")
    try:
        Nvdec().accelerator().create(av.Codec("h264", "r"))
    except (av.error.FFmpegError, OSError) as error:
        raise CudaError(
            f'decode = "nvdec" needs a GPU that FFmpeg can open, and it cannot ({_words(error)}): check nvidia-smi and '
            'the permissions of /dev/nvidia*, or set decode = "cpu"'
        ) from error


def _has_nvdec(codec: str) -> bool:
    return any(config.device_type == HWDeviceType.cuda for config in av.Codec(codec, "r").hardware_configs)


def _load(library: str) -> None:
    ctypes.CDLL(library)


def _is_of_nvdec(error: Exception) -> bool:
    """Whether PyAV says by this that a decoder on the device could not be had."""
    if isinstance(error, av.error.PermissionError):
        # FFmpeg has the same number for "no such format", which is all that it says then.
        return error.errno == errno.EPERM
    return isinstance(error, (av.error.ExternalError, av.error.UnknownError)) or not isinstance(
        error, av.error.FFmpegError
    )


def _words(error: Exception) -> str:
    if isinstance(error, (NotImplementedError, RuntimeError)):
        return str(error)
    return reason_of(error)


def _unfit(camera: str, got: str) -> MediaError:
    return MediaError(
        f"camera {camera!r} must send what the GPU's NVDEC decodes, got {got}: it does not take this codec, profile or "
        f"size, or has no memory left; choose H.264 or H.265 of 8 bits, {_INSTEAD}"
    )
