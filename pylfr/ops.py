"""The native core's operations on pylfr's own types. The only module that imports ``pylfr._core``.

Functions of arrays run on the CPU; functions of a ``Tensor`` run on its device, in the order of a ``Stream``. A device
that is not available raises ``CudaError``; nothing falls back. Wrong shapes raise ``ValueError``, wrong dtypes
``TypeError``. Every call releases the GIL while it works.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pylfr._core import (
    FOUND_NUMBERS,
    MOST_SHORTLISTED,
    DueTime,
    EntryNumbers,
    Event,
    Graph,
    Interruption,
    MemoryCounts,
    Picture,
    Pictures,
    Readback,
    SearchIndex,
    Staging,
    Stream,
    TemplatePool,
    Tensor,
    Tracker,
    UndueReader,
    apply_linear,
    built_with_cuda,
    cuda_device_count,
    cuda_launches,
    decode_scrfd,
    decode_yunet,
    ffmpeg_listener,
    finish_convolution,
    interrupted_by,
    memory_counts,
    nms,
    normalise,
    normalise_on,
    release_memory,
    search_entries,
    search_exact,
    simd_level,
    similarity,
    take_redirect,
    waiting_clock,
)
from pylfr._core import coarse_luma as _coarse_luma
from pylfr._core import crop_rgb as _crop_rgb
from pylfr._core import crop_surface as _crop_surface
from pylfr._core import letterbox as _letterbox
from pylfr._core import measure_quality as _measure_quality
from pylfr._core import measure_scenes as _measure_scenes
from pylfr._core import warp as _warp
from pylfr.errors import CudaError
from pylfr.types import Device, Faces, Float32, Frame, Int32, UInt8

__all__ = [
    "FOUND_NUMBERS",
    "MOST_SHORTLISTED",
    "DueTime",
    "EntryNumbers",
    "Event",
    "Graph",
    "Interruption",
    "MemoryCounts",
    "Pictures",
    "Readback",
    "SearchIndex",
    "Staging",
    "Stream",
    "TemplatePool",
    "Tensor",
    "Tracker",
    "UndueReader",
    "apply_linear",
    "built_with_cuda",
    "coarse_luma",
    "crop_rgb",
    "cuda_device_count",
    "cuda_launches",
    "decode_scrfd",
    "decode_yunet",
    "ffmpeg_listener",
    "finish_convolution",
    "interrupted_by",
    "letterbox",
    "measure_quality",
    "measure_scenes",
    "memory_counts",
    "nms",
    "normalise",
    "normalise_on",
    "release_memory",
    "require_device",
    "search_entries",
    "search_exact",
    "simd_level",
    "similarity",
    "take_redirect",
    "upload",
    "waiting_clock",
    "warp",
]


def require_device(device: Device) -> None:
    """Raise ``CudaError``, with the reason, unless this build and this machine support ``device``."""
    if device == "cpu":
        return
    if device != "cuda":
        raise ValueError(f"device must be cpu or cuda, got {device!r}")
    if not built_with_cuda():
        raise CudaError(
            "device 'cuda' was requested, but this build has no CUDA: build with -Ccmake.define.PYLFR_CUDA=ON"
        )
    if cuda_device_count() == 0:
        raise CudaError("device is 'cuda', but no CUDA device was found: check the driver, or use 'cpu'")


def letterbox(
    frames: Sequence[Frame],
    *,
    width: int,
    height: int,
    bgr: bool,
    mean: Sequence[float],
    scale: Sequence[float],
    out: Float32 | None = None,
) -> tuple[Float32, Float32]:
    """A network's input float32 [B, 3, height, width], and network pixels per source pixel, float32 [B].

    Each frame fills the top left with its aspect ratio preserved, sampled bilinearly straight from its planes; the rest
    is black. Values are (0..255 - mean) * scale; ``mean`` and ``scale`` have one number per channel, in the order of
    the tensor's channels (blue first with ``bgr``). The result is written to ``out`` if that is given.
    """
    if out is None:
        out = np.empty((len(frames), 3, height, width), np.float32)
    elif out.shape != (len(frames), 3, height, width):
        raise ValueError(f"out must be float32 [{len(frames)}, 3, {height}, {width}], got shape {list(out.shape)}")
    factors = _letterbox([_picture(frame) for frame in frames], out, bgr, mean, scale)
    return out, factors


def warp(
    frames: Sequence[Frame],
    frame_index: Int32,
    to_frame: Float32,
    *,
    side_px: int,
    bgr: bool,
    mean: Sequence[float],
    scale: Sequence[float],
    out: Float32 | None = None,
) -> Float32:
    """Network-ready crops float32 [N, 3, side_px, side_px], sampled bilinearly straight from the frames' planes.

    ``frame_index`` int32 [N] names the frame of each crop, ``to_frame`` float32 [N, 2, 3] maps crop pixels to
    frame pixels (``similarity`` gives it). Pixels outside the frame are black. ``mean`` and ``scale`` as in
    ``letterbox``.
    """
    shape = (len(frame_index), 3, side_px, side_px)
    if out is None:
        out = np.empty(shape, np.float32)
    elif out.shape != shape:
        raise ValueError(f"out must be float32 {list(shape)}, got shape {list(out.shape)}")
    _warp([_picture(frame) for frame in frames], frame_index, to_frame, out, bgr, mean, scale)
    return out


def crop_rgb(frame: Frame, to_frame: Float32, *, width: int, height: int) -> UInt8:
    """The part of ``frame`` that ``to_frame`` float32 [2, 3] maps to, uint8 [height, width, 3] RGB.

    Bilinear, black outside the frame, rounded to the nearest level. From a frame on a device only the crop is copied.
    """
    out = np.empty((height, width, 3), np.uint8)
    if frame.surfaces:
        stream = _surfaces(frame)[0].stream
        there = Tensor(out.shape, "uint8", stream)
        _crop_surface(_picture_anywhere(frame), to_frame, there)
        there.copy_to(out, stream)
        return out
    _crop_rgb(_picture(frame), to_frame, out)
    return out


def coarse_luma(frame: Frame, *, cell_px: int) -> UInt8:
    """The mean luma of the frame's cells of ``cell_px`` x ``cell_px`` pixels, 1 to 64: uint8 [rows, columns].

    Of every second row; of RGB it is the green channel. Cells at the right and lower edge may be smaller. It shows
    where something has changed; to tell one scene from another, ``measure_scenes`` reads far fewer pixels.
    """
    return _coarse_luma(_picture(frame), cell_px)


def measure_quality(frames: Sequence[Frame], faces: Faces) -> Float32:
    """Measures of each face, float32 [N, 7], in the order of ``Quality``'s fields, without its score.

    Sharpness, interocular_px, yaw, pitch, roll (degrees), brightness, contrast (0 to 1). Luma is sampled on a 64 x 64
    grid aligned to the upright face; pose is that of a simple geometric head (see csrc/kernels/quality.hpp):
    positive is nose to the right in the picture, nose up, head leaning clockwise.
    """
    return _measure_quality([_picture(frame) for frame in frames], faces.frame_index, faces.landmarks)


def measure_scenes(frames: Sequence[Frame]) -> Float32:
    """The luma of each frame on a coarse grid, float32 [B, 18, 32], 0 to 255; the green channel in RGB."""
    return _measure_scenes([_picture(frame) for frame in frames])


def upload(frames: Sequence[Frame], staging: Staging) -> Pictures:
    """The pictures of ``frames`` on the staging's device, in one asynchronous copy of those that are not there yet."""
    return staging.upload([_picture_anywhere(frame) for frame in frames])


def _picture(frame: Frame) -> Picture:
    if frame.surfaces:
        raise CudaError(f"frames of camera {frame.camera!r} must be on the host, got surfaces on {frame.device!r}")
    return Picture(frame.planes, frame.layout, frame.matrix, frame.full_range)


def _picture_anywhere(frame: Frame) -> Picture:
    if frame.surfaces:
        return Picture.of_surfaces(_surfaces(frame), frame.layout, frame.matrix, frame.full_range)
    return _picture(frame)


def _surfaces(frame: Frame) -> list[Tensor]:
    tensors = [surface for surface in frame.surfaces if isinstance(surface, Tensor)]
    if len(tensors) != len(frame.surfaces):
        raise TypeError("surfaces must be tensors of pylfr.ops: wrap them with Tensor.borrow")
    return tensors
