"""The native boundary. Imported by ``pylfr.ops`` alone.

Only tensors, numbers and strings cross it, and one call: what a graph is to record.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from typing_extensions import CapsuleType

from pylfr.types import Device, Element, Float32, Int32, Int64, MemoryKind, Precision, UInt8

FOUND_NUMBERS: int
MOST_SHORTLISTED: int

AnyArray = npt.NDArray[np.generic]

def built_with_cuda() -> bool: ...
def cuda_device_count() -> int:
    """Usable CUDA devices; 0 without a driver or a device (CUDA errors 35 and 100). Raises CudaError for others."""

def simd_level() -> str:
    """Which build of the hot loops runs on this processor: "avx512", "avx2" or "plain". All give the same bits."""

def ffmpeg_listener() -> int:
    """The address of what notes FFmpeg's redirects, for ``av_log_set_callback``. It drops everything else."""

def take_redirect() -> bool:
    """Whether FFmpeg was about to follow a redirect on this thread, since this was asked last."""

class Interruption:
    """Ends what FFmpeg does for the threads that are interrupted by it."""

    def interrupt(self) -> None:
        """End it, for good. May be called from any thread, more than once."""

    @property
    def is_over(self) -> bool: ...

def interrupted_by(interruption: Interruption | None) -> Interruption | None:
    """Let ``interruption`` interrupt this thread from now on, None for nothing; what interrupted it before."""

class DueTime:
    """From when on pictures of a camera are wanted, in monotonic seconds; 0 at first. Any thread may say so."""

    @property
    def at_s(self) -> float: ...
    def set(self, at_s: float) -> None: ...

class UndueReader:
    """Reads packets of an open container, and decodes those that come before their pictures are wanted.

    ``calls`` has the addresses of FFmpeg's functions by their names; ``container`` and ``decoder`` are those of the
    contexts, and ``deadline`` that of PyAV's deadline, two doubles: they must outlive it. Nothing here can tell a wrong
    address from a right one.
    """

    def __init__(
        self,
        *,
        calls: dict[str, int],
        container: int,
        decoder: int,
        deadline: int,
        stream: int,
        interruption: Interruption | None,
    ) -> None: ...
    def read(self, packet: int, due: DueTime) -> int:
        """Read into the packet at this address the first one that comes once pictures are due; FFmpeg's error.

        A read ends after the deadline's seconds, as they were when this was made, and once ``interruption`` says so.
        """

    def take_passed(self) -> tuple[int, int, int, int]:
        """Read since this was asked last and not given: packets of the stream, key frames, other packets; pictures."""

def waiting_clock() -> float:
    """As ``time.monotonic``; far ahead, and further with every call, once this thread is interrupted or redirected."""

class Event:
    """Where a stream stood when ``Stream.record`` was called."""

    @property
    def is_done(self) -> bool: ...
    def synchronise(self) -> None:
        """Wait until the stream's work up to here has ended; other threads run meanwhile."""

    def ms_since(self, earlier: Event) -> float:
        """Milliseconds on the device; both events must be recorded with ``timed=True`` and done."""

class Stream:
    """The order in which a device works. On "cpu" work is done when it is called, so that the same code runs there.

    On "cuda" it is made in the context that is current, the primary one or the caller's (pycuda's), and never becomes
    the default stream. Raises ``CudaError`` with the reason where there is no CUDA.
    """

    def __init__(self, device: Device) -> None: ...
    @staticmethod
    def borrow(handle: int, owner: object = None) -> Stream:
        """A CUDA stream of pycuda, torch or cupy by its integer handle; ``owner`` is kept alive with it."""

    @property
    def device(self) -> Device: ...
    @property
    def handle(self) -> int:
        """The CUDA handle; 0 is the legacy default stream, and every stream of the CPU."""

    def synchronise(self) -> None: ...
    def wait(self, event: Event) -> None:
        """What is queued here from now on comes after ``event``; the caller does not wait."""

    def record(self, timed: bool = False) -> Event: ...

class Graph:
    """What ``work`` queued on a stream, recorded once, and queued again with one call. On "cpu" ``work`` is done again.

    Nothing runs while it is recorded. On "cuda" ``work`` may only queue, on that very stream, which must not be the
    legacy default stream. Raises ``CudaError`` where that is not so, and whatever ``work`` raises.
    """

    def __init__(self, stream: Stream, work: Callable[[], None]) -> None: ...
    def replay(self, stream: Stream) -> None: ...

class Tensor:
    """A row-major array on a device: new memory (whatever it holds), or somebody else's.

    It leaves by DLPack (``numpy.from_dlpack``, ``torch.from_dlpack``) and, on CUDA, by ``__cuda_array_interface__``,
    without a copy; it enters by ``borrow``. New memory comes out of the pool and goes back to it, in the order of
    ``stream``; ``pooled=False`` is for what is held for long. Work on another stream than its own must be ordered by
    events.
    """

    def __init__(self, shape: Sequence[int], dtype: Element, stream: Stream, pooled: bool = True) -> None: ...
    @staticmethod
    def borrow(array: object, stream: Stream) -> Tensor:
        """Somebody's array (DLPack, else ``__cuda_array_interface__``), kept alive; ``stream`` waits for its work.

        Raises ``TypeError`` for another kind of object or number, ``ValueError`` where it is not on the stream's
        device, or not row-major (rows may be padded). Nothing is copied.
        """

    @staticmethod
    def borrow_together(arrays: Sequence[object], stream: Stream) -> list[Tensor]:
        """As ``borrow``, for arrays of one owner, such as the planes of a picture.

        Those that have ``__cuda_array_interface__`` alone must name one stream, and wait for it, and are waited for by
        it, together: with one event, when the last of them is let go.
        """

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Element: ...
    @property
    def device(self) -> Device: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def row_bytes(self) -> int:
        """Bytes from one row (step of the first axis) to the next."""

    @property
    def is_read_only(self) -> bool: ...
    @property
    def stream(self) -> Stream: ...
    @property
    def pointer(self) -> int: ...
    def __len__(self) -> int: ...
    def rows(self, start: int, stop: int) -> Tensor:
        """A view of some rows."""

    def reshaped(self, shape: Sequence[int]) -> Tensor:
        """A view of the same numbers."""

    def seen_as(self, shape: Sequence[int], dtype: Element) -> Tensor:
        """A view of the same bytes."""

    def copy_from(self, array: AnyArray, stream: Stream) -> None:
        """Take over a host array of the same shape and dtype; on return it may be changed again."""

    def copy_to(self, array: AnyArray, stream: Stream) -> None:
        """Write into a host array of the same shape and dtype; on return the values are there."""

    def take(self, other: Tensor, stream: Stream) -> None:
        """Take over a tensor of the same shape, dtype and device, without padded rows, in the order of ``stream``."""

    def wipe(self, stream: Stream) -> None:
        """Zeros, in the order of ``stream``; on CUDA it is done once the stream was synchronised."""

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> CapsuleType: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        """On CUDA only."""

class MemoryCounts:
    """What a memory pool has done: bytes held (lent or waiting), lent now, most ever held; calls to the system."""

    @property
    def held_bytes(self) -> int: ...
    @property
    def lent_bytes(self) -> int: ...
    @property
    def high_water_bytes(self) -> int: ...
    @property
    def allocations(self) -> int: ...
    @property
    def loans(self) -> int: ...

def memory_counts(kind: MemoryKind) -> MemoryCounts: ...
def release_memory(kind: MemoryKind) -> None:
    """Give what waits in a pool back to the system, after the device has done its work."""

def cuda_launches() -> int:
    """Kernels that pylfr launched on CUDA in this process so far."""

def finish_convolution(
    values: object, bias: object | None, shortcut: object | None, slope: object | None, stream: int
) -> None:
    """What follows a convolution, in place and in one kernel: + bias, + ``shortcut``, PReLU with ``slope``.

    ``values`` are float16 or float32 [rows, channels] with channels by the 8 or by the 4, on CUDA by
    ``__cuda_array_interface__`` or on the host by ``__array_interface__``; ``shortcut`` is like it, ``bias`` and
    ``slope`` are [channels], None leaves a step out. Halves are added up in float32 and rounded once. Queued on the
    stream with this handle, 0 on the host, without waiting; whoever calls keeps the arrays, and their order.
    Raises ``TypeError`` or ``ValueError`` for what does not fit.
    """

class Picture:
    """A borrowed view of a frame's planes; keeps the arrays alive. Checks shapes, dtypes and strides."""

    def __init__(self, planes: Sequence[UInt8], layout: str, matrix: str, full_range: bool) -> None: ...
    @staticmethod
    def of_surfaces(surfaces: Sequence[Tensor], layout: str, matrix: str, full_range: bool) -> Picture:
        """A picture whose planes lie on a device."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...

class Readback:
    """A packed tensor's numbers on their way to the host: one copy is queued, and nobody waits before they are read.

    What waits in pinned memory is wiped when this goes.
    """

    def __init__(self, tensor: Tensor, stream: Stream) -> None: ...
    def into(self, array: AnyArray) -> None:
        """Write into a host array of the tensor's shape and dtype, once the copy (and nothing queued later) ended."""

class Staging:
    """The way from the host to a device: asynchronous copies out of pinned buffers, four in turn.

    A buffer is written to again only when the copy out of it has ended. One thread at a time; pictures are packed by
    ``threads``, the caller among them (0: up to four, where there are as many cores), which start with the first batch.
    """

    def __init__(self, stream: Stream, threads: int = 0) -> None: ...
    @property
    def stream(self) -> Stream: ...
    def send(self, array: AnyArray) -> Tensor:
        """A C-contiguous array on the device; the array may be changed on return."""

    def upload(self, pictures: Sequence[Picture]) -> Pictures:
        """All planes of the host's pictures in one copy; surfaces stay where they are, their streams are waited for."""

class Pictures:
    """The pictures of a batch where kernels see them. Each method is one launch, and no host waits.

    It runs in the order of the stream of what it writes, after the upload; ``staging`` must be of that stream too.
    """

    def __len__(self) -> int: ...
    @property
    def stream(self) -> Stream: ...
    def letterbox(self, out: Tensor, bgr: bool, mean: Sequence[float], scale: Sequence[float]) -> Float32:
        """As the function ``letterbox``, to the same bits; out float32 [B, 3, H, W]."""

    def warp(
        self,
        staging: Staging,
        picture_index: Int32,
        to_frame: Float32,
        out: Tensor,
        bgr: bool,
        mean: Sequence[float],
        scale: Sequence[float],
    ) -> None:
        """As the function ``warp``, to the same bits; out float32 [N, 3, S, S]."""

    def measure_quality(self, staging: Staging, picture_index: Int32, landmarks: Float32, out: Tensor) -> None:
        """As the function ``measure_quality``; out float32 [N, 7]."""

    def measure_scenes(self, out: Tensor) -> None:
        """As the function ``measure_scenes``, to the same bits; out float32 [B, 18, 32]."""

    def find_faces(
        self,
        head: str,
        cls: Sequence[Tensor],
        obj: Sequence[Tensor],
        boxes: Sequence[Tensor],
        kps: Sequence[Tensor],
        strides: Sequence[int],
        anchors: int,
        width: int,
        height: int,
        score_floor: float,
        iou: float,
        found: Tensor,
        counts: Tensor,
    ) -> None:
        """Decode a head's outputs, suppress doubles, bring faces back to their pictures and measure them (3 launches).

        found float32 [B, most, FOUND_NUMBERS]: box, score, landmarks and measures of each face in pixels of its
        picture, best first; counts int32 [B, 2]: faces (perhaps more than ``most``) and candidates. Of more than 4,096
        candidates of a picture only the best 2,048 are looked at.
        """

def crop_surface(picture: Picture, to_frame: Float32, out: Tensor) -> None:
    """As ``crop_rgb``, for a picture of surfaces; out uint8 [H, W, 3] there."""

def normalise_on(vectors: Tensor, stream: Stream) -> None:
    """As ``normalise``, where the vectors lie."""

class SearchIndex:
    """References on a device, searched there exactly: coarsely all, then the best again in float32.

    Float32 [count, dimension], and beside it a coarse copy in fp16 or int8 (a scale a row) that is scanned. Searches
    may run at once, each on a stream of its own.
    """

    def __init__(self, count: int, dimension: int, precision: Precision, stream: Stream) -> None: ...
    def __len__(self) -> int: ...
    @property
    def dimension(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def most_error(self) -> float:
        """The length of the most that rounding took from a reference."""

    def fill(self, rows: Float32, start: int) -> None: ...
    def search(self, probes: Tensor, kept: int, stream: Stream) -> Tensor:
        """The ``kept`` best of each probe by coarse score, 1 to MOST_SHORTLISTED, with their exact scores.

        float32 [P, 2 * kept + 2]: exact scores; the bits of their rows, int32, -1 where there is none; the best coarse
        score that was left out (-2: none was); the length of what rounding took from the probe.
        """

    def score_all(self, probes: Tensor, stream: Stream) -> Tensor:
        """Every exact score, float32 [P, count]."""

def letterbox(
    pictures: Sequence[Picture],
    out: Float32,
    bgr: bool,
    mean: Sequence[float],
    scale: Sequence[float],
    per_pixel: bool = False,
) -> Float32:
    """Fit each picture into out[b], top left, aspect kept, bilinear; the rest is black (0 before mean and scale).

    out: float32 [B, 3, H, W] C-contiguous, (value 0..255 - mean) * scale. Returns float32 [B]: network pixels a source
    pixel.
    ``per_pixel`` runs the device's schedule (one item a pixel) on the CPU; the result is the same to the bit.
    """

def similarity(landmarks: Float32, template: Float32) -> Float32:
    """Float32 [N, 2, 3] that maps template (crop) pixels to frame pixels: least squares, no reflection (Umeyama).

    Raises ValueError for landmarks that are not finite; coinciding landmarks give a degenerate (zero-scale) map.
    """

def warp(
    pictures: Sequence[Picture],
    picture_index: Int32,
    to_frame: Float32,
    out: Float32,
    bgr: bool,
    mean: Sequence[float],
    scale: Sequence[float],
    per_pixel: bool = False,
) -> None:
    """out[n, :, y, x] = picture at to_frame[n] @ (x, y, 1), bilinear, black outside; out float32 [N, 3, S, S]."""

def crop_rgb(picture: Picture, to_frame: Float32, out: UInt8) -> None:
    """Out uint8 [H, W, 3] RGB sampled at to_frame [2, 3] @ (x, y, 1), bilinear, black outside, rounded to nearest."""

def decode_yunet(
    cls: Sequence[Float32],
    obj: Sequence[Float32],
    bbox: Sequence[Float32],
    kps: Sequence[Float32],
    strides: Sequence[int],
    width: int,
    height: int,
    score_floor: float,
) -> tuple[Int32, Float32, Float32, Float32]:
    """Faces from score_floor on, network pixels: batch_index [M], boxes [M, 4], scores [M], landmarks [M, 5, 2]."""

def decode_scrfd(
    scores: Sequence[Float32],
    distances: Sequence[Float32],
    kps: Sequence[Float32],
    strides: Sequence[int],
    anchors: int,
    width: int,
    height: int,
    score_floor: float,
) -> tuple[Int32, Float32, Float32, Float32]:
    """As decode_yunet, for SCRFD: distances and keypoints in units of the stride, ``anchors`` a cell."""

def nms(batch_index: Int32, boxes: Float32, scores: Float32, iou: float) -> Int64:
    """Rows that survive greedy non-maximum suppression in each image: by image, then best score first."""

def coarse_luma(picture: Picture, cell_px: int) -> UInt8:
    """uint8 [ceil(height / cell_px), ceil(width / cell_px)]: mean luma of every second row; ``cell_px`` is 1 to 64."""

def measure_quality(pictures: Sequence[Picture], picture_index: Int32, landmarks: Float32) -> Float32:
    """float32 [N, 7]: sharpness, interocular_px, yaw, pitch, roll (degrees), brightness, contrast (0..1)."""

def measure_scenes(pictures: Sequence[Picture]) -> Float32:
    """float32 [B, 18, 32], 0 to 255: each picture's luma on a coarse grid, 16 samples a point; of RGB its green."""

def normalise(vectors: Float32) -> Float32:
    """Scale each row of float32 [N, D] to unit length in place; returns the lengths [N]. A zero row stays zero."""

def apply_linear(features: Float32, weight: Float32, bias: Float32, out: Float32) -> None:
    """Write ``features @ weight.T + bias`` to ``out`` [N, D], on this thread; features [N, F], weight [D, F], bias [D].

    Each row's numbers are the same whatever rows are beside it.
    """

def search_exact(probes: Float32, references: Float32, k: int) -> tuple[Float32, Int64]:
    """The k largest dot products a probe: scores [N, k] descending, rows [N, k]; -1 and -1 where references run out."""

class EntryNumbers:
    """A copy of the entry's number of each reference, int64 [R]. Raises ``ValueError`` unless they are rising."""

    def __init__(self, entry: Int64) -> None: ...
    def __len__(self) -> int: ...

def search_entries(probes: Float32, references: Float32, entry: EntryNumbers, k: int) -> tuple[Float32, Int64]:
    """The k best entries a probe, each by its best reference: scores [N, k] descending, entries [N, k], -1 for none.

    ``references`` is float32 [R, D], a row for each of ``entry``. Of equal scores the smaller entry comes first.
    """

class Tracker:
    """Kalman prediction and two-stage association (strong faces first, then weak ones), per camera."""

    def __init__(
        self,
        high_score: float,
        low_score: float,
        iou: float,
        max_age_ms: float,
        max_tracks_per_camera: int,
    ) -> None: ...
    def update(
        self,
        camera: Int32,
        time_ms: Int64,
        is_cut: UInt8,
        frame_index: Int32,
        boxes: Float32,
        scores: Float32,
        looks: Float32,
    ) -> tuple[Int64, UInt8]:
        """Track ids of the faces of a batch, int64 [N], and which of them are uncertain, uint8 [N].

        An id is -1 where a face starts no track; an uncertain face may be another person than its track's earlier ones.
        camera int32 [B], time_ms int64 [B] and is_cut uint8 [B] describe the frames, in order; where it is not 0 the
        camera's tracks end before the frame. frame_index int32 [N] points into them. looks float32 [N, 3]: brightness
        and contrast, 0 to 1, and the logarithm of one more than the sharpness.
        """

    def ended(self) -> tuple[Int32, Int64]:
        """(camera [M], track_id [M]) of the tracks that ended since the last call."""

    def finish(self, camera: int) -> None:
        """End all tracks of a camera; its ids go on counting."""

    @property
    def alive(self) -> int: ...

class TemplatePool:
    """Fixed memory for probe templates: locked where the system allows it, left out of core dumps, wiped on demand."""

    def __init__(self, rows: int, dimension: int) -> None: ...
    @property
    def is_locked(self) -> bool: ...
    @property
    def array(self) -> Float32:
        """float32 [rows, D]: a view, not a copy."""

    def wipe(self) -> None:
        """Overwrite everything with zeros, in a way that the compiler cannot leave out."""
