"""The nouns of pylfr: frozen records of arrays, whose shapes and dtypes are checked when they are made.

Conventions throughout, converted to once at the edge: boxes are xyxy in pixels of the source frame, colour is RGB,
scores are cosine, time is UTC. N is the number of faces, D the dimension of a template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Int16 = npt.NDArray[np.int16]
UInt8 = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

Layout = Literal["i420", "nv12", "rgb"]
Colour = Literal["rgb", "bgr"]
ColourMatrix = Literal["bt601", "bt709", "bt2020"]
Device = Literal["cpu", "cuda"]
Element = Literal["float32", "float16", "int8", "uint8", "int32", "int64"]
Precision = Literal["float32", "float16", "int8"]
Arithmetic = Literal["float32", "float16", "bfloat16"]
MemoryKind = Literal["cpu", "cuda", "pinned"]

# Of the grid on which a picture's scene is measured, as in csrc/kernels/scene.hpp: rows, columns.
SCENE_SHAPE = (18, 32)

T = TypeVar("T")


class DeviceArray(Protocol):
    """An array on a device, such as a ``pylfr.ops.Tensor``: row-major, its rows possibly padded."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Element: ...

    @property
    def device(self) -> Device: ...

    @property
    def pointer(self) -> int: ...

    @property
    def row_bytes(self) -> int: ...


def _require(name: str, array: object, dtype: type[np.generic], shape: tuple[int | None, ...]) -> None:
    """Raise unless ``array`` has ``dtype`` and ``shape``; None in ``shape`` matches any length."""
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        got = array.dtype.name if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{name} must be {_text(dtype, shape)}, got {got}")
    _require_shape(name, array.shape, dtype, shape)


def _require_shape(name: str, given: tuple[int, ...], dtype: type[np.generic], shape: tuple[int | None, ...]) -> None:
    if len(given) != len(shape) or any(
        want is not None and want != have for want, have in zip(shape, given, strict=True)
    ):
        raise ValueError(f"{name} must be {_text(dtype, shape)}, got shape {list(given)}")


def _require_picture(picture: object) -> None:
    """Raise unless ``picture`` is an array uint8 [H, W, 3]."""
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
        got = picture.dtype.name if isinstance(picture, np.ndarray) else type(picture).__name__
        raise TypeError(f"a picture must be an array uint8 [H, W, 3], got {got}: scale and convert it first")
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(
            f"a picture must be uint8 [H, W, 3], got shape {list(picture.shape)}: repeat the channel of a grey picture "
            "three times, leave out an alpha channel"
        )


def _text(dtype: type[np.generic], shape: tuple[int | None, ...]) -> str:
    return f"{np.dtype(dtype).name} [{', '.join('any' if side is None else str(side) for side in shape)}]"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One picture of one camera, as decoded: without any colour conversion.

    ``planes`` are uint8 views, possibly with padded rows:

    - ``i420``: Y [H, W], U and V [ceil(H/2), ceil(W/2)]
    - ``nv12``: Y [H, W], UV [ceil(H/2), ceil(W/2), 2]
    - ``rgb``: RGB [H, W, 3]

    A picture that was decoded on a device has ``surfaces`` instead of ``planes``: the same planes, on that device.
    ``matrix`` and ``full_range`` define the conversion from YUV to RGB; they do not apply to ``rgb``.
    Raises ``ValueError`` or ``TypeError`` if the planes do not match the layout.
    """

    camera: str
    sequence: int
    captured_at: datetime
    planes: tuple[UInt8, ...]
    layout: Layout
    matrix: ColourMatrix = "bt601"
    full_range: bool = False
    surfaces: tuple[DeviceArray, ...] = ()

    def __post_init__(self) -> None:
        if self.captured_at.tzinfo is None:
            raise ValueError(f"captured_at must carry a time zone (UTC), got {self.captured_at.isoformat()}")
        count = {"i420": 3, "nv12": 2, "rgb": 1}.get(self.layout)
        if count is None:
            raise ValueError(f"layout must be i420, nv12 or rgb, got {self.layout!r}")
        if self.planes and self.surfaces:
            raise ValueError("a frame is on the host or on a device: give planes or surfaces, not both")
        given = self.planes or self.surfaces
        if len(given) != count:
            raise ValueError(f"{self.layout} has {count} planes, got {len(given)}")
        if self.layout == "rgb":
            self._require_plane(0, (None, None, 3))
        else:
            self._require_plane(0, (None, None))
            half = ((self.height + 1) // 2, (self.width + 1) // 2)
            for index in range(1, count):
                self._require_plane(index, half if self.layout == "i420" else (*half, 2))
        if self.width == 0 or self.height == 0:
            raise ValueError(f"a frame must have pixels, got {self.width}x{self.height}")

    @property
    def device(self) -> Device:
        """The device that holds its pixels."""
        return self.surfaces[0].device if self.surfaces else "cpu"

    @property
    def width(self) -> int:
        return int((self.planes or self.surfaces)[0].shape[1])

    @property
    def height(self) -> int:
        return int((self.planes or self.surfaces)[0].shape[0])

    def _require_plane(self, index: int, shape: tuple[int | None, ...]) -> None:
        if self.planes:
            _require(f"planes[{index}]", self.planes[index], np.uint8, shape)
            return
        surface = self.surfaces[index]
        if surface.dtype != "uint8":
            raise TypeError(f"surfaces[{index}] must be {_text(np.uint8, shape)}, got {surface.dtype}")
        _require_shape(f"surfaces[{index}]", surface.shape, np.uint8, shape)

    @classmethod
    def still(cls, picture: UInt8, *, colour: Colour = "rgb", camera: str = "still", sequence: int = 0) -> Frame:
        """A frame of a single picture, uint8 [H, W, 3], captured now. OpenCV's pictures are ``colour="bgr"``.

        The array may have any strides; it is copied only if its pixels are not packed, or are BGR. Raises ``TypeError``
        or ``ValueError`` for anything else.
        """
        _require_picture(picture)
        if colour not in ("rgb", "bgr"):
            raise ValueError(f"colour must be 'rgb' or 'bgr', got {colour!r}")
        ordered = picture if colour == "rgb" else picture[:, :, ::-1]
        packed = ordered if ordered.strides[1:] == (3, 1) else np.ascontiguousarray(ordered)
        return cls(camera=camera, sequence=sequence, captured_at=datetime.now(UTC), planes=(packed,), layout="rgb")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameBatch:
    """Frames of one or more cameras, of any sizes, that pass through the networks together."""

    frames: tuple[Frame, ...]

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def cameras(self) -> frozenset[str]:
        return frozenset(frame.camera for frame in self.frames)

    @property
    def captured_at(self) -> tuple[datetime, datetime]:
        """The earliest and the latest capture time in the batch. Raises ``ValueError`` when it is empty."""
        times = [frame.captured_at for frame in self.frames]
        return min(times), max(times)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Faces:
    """Detected faces of a batch of frames.

    - ``frame_index``: int32 [N], which frame of the batch
    - ``boxes``: float32 [N, 4], xyxy in pixels of that frame
    - ``scores``: float32 [N], the detector's own, 0 to 1
    - ``landmarks``: float32 [N, 5, 2], pixels: left eye, right eye, nose, left and right corner of the mouth,
      left and right as seen in the picture
    - ``measures``: float32 [N, 7], the result of ``ops.measure_quality``, if the detector has measured it
    - ``scenes``: float32 [frames, 18, 32], the result of ``ops.measure_scenes``, if the detector has measured it:
      one for every frame of the batch, also where it shows nobody
    """

    frame_index: Int32
    boxes: Float32
    scores: Float32
    landmarks: Float32
    measures: Float32 | None = None
    scenes: Float32 | None = None

    def __post_init__(self) -> None:
        _require("frame_index", self.frame_index, np.int32, (None,))
        count = len(self.frame_index)
        _require("boxes", self.boxes, np.float32, (count, 4))
        _require("scores", self.scores, np.float32, (count,))
        _require("landmarks", self.landmarks, np.float32, (count, 5, 2))
        if self.measures is not None:
            _require("measures", self.measures, np.float32, (count, 7))
        if self.scenes is not None:
            _require("scenes", self.scenes, np.float32, (None, *SCENE_SHAPE))

    def __len__(self) -> int:
        return len(self.frame_index)

    def rows_by_frame(self, which: npt.NDArray[np.bool_], frames: int) -> list[list[int]]:
        """For each of so many frames its faces of the mask ``which``, bool [N], in order."""
        rows: list[list[int]] = [[] for _ in range(frames)]
        chosen = np.flatnonzero(which)
        for row, frame in zip(chosen.tolist(), self.frame_index[chosen].tolist(), strict=True):
            rows[frame].append(row)
        return rows

    def select(self, which: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | Int64) -> Faces:
        """The faces selected by an index array or a mask, in its order."""
        return Faces(
            frame_index=self.frame_index[which],
            boxes=self.boxes[which],
            scores=self.scores[which],
            landmarks=self.landmarks[which],
            measures=None if self.measures is None else self.measures[which],
            scenes=self.scenes,
        )

    @classmethod
    def none(cls) -> Faces:
        """An empty set of faces."""
        return cls(
            frame_index=np.empty(0, np.int32),
            boxes=np.empty((0, 4), np.float32),
            scores=np.empty(0, np.float32),
            landmarks=np.empty((0, 5, 2), np.float32),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quality:
    """How suitable each face is for recognition; every field is float32 [N].

    - ``sharpness``: variance of the Laplacian of the face's luma, sampled on a 64 x 64 grid, grey levels squared
    - ``interocular_px``: distance between the eyes in pixels of the source frame
    - ``yaw``, ``pitch``, ``roll``: degrees, estimated from the five landmarks; 0 is frontal
    - ``brightness``, ``contrast``: mean and standard deviation of the face's luma, 0 to 1
    - ``score``: pylfr's own summary of these, 0 to 100 (this is not the UQS of ISO/IEC 29794-5)
    """

    sharpness: Float32
    interocular_px: Float32
    yaw: Float32
    pitch: Float32
    roll: Float32
    brightness: Float32
    contrast: Float32
    score: Float32

    def __post_init__(self) -> None:
        count = len(self.score)
        for name in self.__slots__:
            _require(name, getattr(self, name), np.float32, (count,))

    def __len__(self) -> int:
        return len(self.score)

    def select(self, which: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | Int64) -> Quality:
        """The rows selected by an index array or a mask, in its order."""
        return Quality(**{name: getattr(self, name)[which] for name in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tracks:
    """Faces that a tracker has associated with faces of earlier frames.

    - ``track_id``: int64 [N], counted from 1 in each camera; -1 is a face without a track
    - ``uncertain``: bool [N], the face continues its track after a gap, a jump or an overlap with another, so that it
      may be another person: evidence starts over. Without it every track is taken for one person
    """

    faces: Faces
    track_id: Int64
    quality: Quality
    uncertain: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        _require("track_id", self.track_id, np.int64, (len(self.faces),))
        if len(self.quality) != len(self.faces):
            raise ValueError(f"quality must have {len(self.faces)} rows, one a face, got {len(self.quality)}")
        if self.uncertain is not None:
            _require("uncertain", self.uncertain, np.bool_, (len(self.faces),))

    def __len__(self) -> int:
        return len(self.faces)

    def select(self, which: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | Int64) -> Tracks:
        """The tracked faces selected by an index array or a mask, in its order."""
        return Tracks(
            faces=self.faces.select(which),
            track_id=self.track_id[which],
            quality=self.quality.select(which),
            uncertain=None if self.uncertain is None else self.uncertain[which],
        )

    def is_uncertain(self, row: int) -> bool:
        """Whether the face of that row may be another person than its track's earlier faces."""
        return self.uncertain is not None and bool(self.uncertain[row])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Templates:
    """Biometric vectors, float32 [N, D] of unit length, and the sha256 of the network that made them.

    Probes are in a wiped pool (``pylfr.faces.template_pool``): their vectors read as zeros after their loan.
    """

    vectors: Float32
    model: str

    def __post_init__(self) -> None:
        _require("vectors", self.vectors, np.float32, (None, None))

    def __len__(self) -> int:
        return int(self.vectors.shape[0])

    @property
    def dimension(self) -> int:
        return int(self.vectors.shape[1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
    """Ranked watchlist entries for each probe, best first.

    ``scores`` is float32 [N, k], cosine, -1 where there is no candidate; ``entry`` is int64 [N, k], the entry's
    number in the watchlist, -1 where there is none. An entry occurs at most once per row.
    """

    scores: Float32
    entry: Int64

    def __post_init__(self) -> None:
        _require("scores", self.scores, np.float32, (None, None))
        _require("entry", self.entry, np.int64, tuple(self.scores.shape))

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """The part of a watchlist entry that an operator sees: its name and its picture, uint8 [H, W, 3] RGB."""

    entry: int
    name: str
    picture: UInt8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Alert:
    """A possible match: a prompt for a person to look, never a decision. It holds no template.

    ``score`` is the track's fused comparison score (cosine), ``box`` xyxy in pixels of the frame at ``captured_at``,
    ``crop`` uint8 [H, W, 3] RGB around the face, every other face in it filled opaque, ``reference`` uint8 [H, W, 3]
    the enrolled picture to compare it with; ``scene`` is the whole frame made smaller, uint8 [H, W, 3] RGB, every other
    face in it filled opaque, None where nobody asked for it. ``model`` is the sha256 of the embedder;
    ``authorisation`` names the authorisation of the run; ``calibrated`` is whether the threshold comes from a
    calibration certificate.
    """

    id: str
    camera: str
    captured_at: datetime
    track_id: int
    entry: str
    score: float
    threshold: float
    calibrated: bool
    box: tuple[float, float, float, float]
    crop: UInt8
    reference: UInt8
    model: str
    watchlist_revision: int
    authorisation: str
    scene: UInt8 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event other than an alert for the audit log: a run that began, a threshold raised, a pause.

    ``details`` never identify anybody who was seen.
    """

    kind: str
    details: Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recorded(Generic[T]):
    """Proof that ``value`` is in the audit log. Only ``pylfr.governance.audit.audit`` makes these.

    Whatever shows or sends an alert takes ``Recorded[Alert]``, so that no alert goes out unrecorded.
    """

    value: T
    sequence: int
    recorded_at: datetime


def as_frames(images: Sequence[Frame | UInt8]) -> tuple[Frame, ...]:
    """Frames unchanged, and RGB arrays uint8 [H, W, 3], of any strides, as stills."""
    return tuple(image if isinstance(image, Frame) else Frame.still(image) for image in images)
