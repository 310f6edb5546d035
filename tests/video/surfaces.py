"""Surfaces where no GPU is: pictures as PyAV gives them of a device, their planes on the host."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from types import SimpleNamespace
from typing import cast

import numpy as np
from av.sidedata.sidedata import SideData, Type
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange

from pylfr import ops
from pylfr.types import Frame, UInt8
from pylfr.video.decoding.geometry import SQUARE
from pylfr.video.decoding.nvdec import Nvdec, Surface, SurfaceBuilder
from pylfr.video.decoding.picture_options import AS_SENT, PictureOptions


@dataclass(eq=False)
class MadeUpPlane:
    """What PyAV gives for a plane on the device."""

    buffer_ptr: int
    line_size: int
    memory: UInt8


class DisplayMatrix(bytes):
    """What PyAV gives for the display matrix of a picture."""

    type = Type.DISPLAYMATRIX


@dataclass(eq=False)
class MadeUpPicture:
    """What PyAV gives for a picture on the device; its planes lie on the host here."""

    planes: tuple[MadeUpPlane, ...] | tuple[VideoPlane, ...]
    width: int
    height: int
    held: tuple[UInt8, ...] = ()
    kind: str = "cuda"
    inside: str = "nv12"
    rotation: int = 0
    colorspace: int = 1
    color_range: int = 2
    interlaced_frame: bool = False

    @property
    def side_data(self) -> list[DisplayMatrix]:
        angle = np.deg2rad(-self.rotation)
        cosine, sine = round(65536 * np.cos(angle)), round(65536 * np.sin(angle))
        matrix = np.array([cosine, sine, 0, -sine, cosine, 0, 0, 0, 1 << 30], np.int32)
        return [DisplayMatrix(matrix.tobytes())] if self.rotation else []

    @property
    def format(self) -> SimpleNamespace:
        return SimpleNamespace(name=self.kind)

    @property
    def sw_format(self) -> SimpleNamespace | None:
        return SimpleNamespace(name=self.inside) if self.kind == "cuda" else None


def made_up(width: int, height: int, **changes: object) -> tuple[MadeUpPicture, tuple[UInt8, UInt8]]:
    """A picture of noise, rows padded as a GPU pads them, and its planes."""
    random = np.random.default_rng(width)
    rows = (height + 1) // 2
    pitch = 2 * ((width + 1) // 2) + 37
    held = tuple(random.integers(0, 256, (count, pitch), dtype=np.uint8) for count in (height, rows))
    planes = tuple(MadeUpPlane(each.ctypes.data, pitch, each) for each in held)
    picture = MadeUpPicture(planes, width, height, held, **changes)  # type: ignore[arg-type]
    luma = held[0][:, :width]
    colour = held[1][:, : 2 * ((width + 1) // 2)].reshape(rows, -1, 2)
    return picture, (luma, colour)


def lent_on_host(surfaces: Sequence[Surface]) -> list[ops.Tensor]:
    """The surfaces as tensors of the CPU, read as their interface says."""
    return [_lent(surface) for surface in surfaces]


def _lent(surface: Surface) -> ops.Tensor:
    given = surface.__cuda_array_interface__
    shape = cast("tuple[int, ...]", given["shape"])
    strides = cast("tuple[int, ...]", given["strides"])
    pointer, read_only = cast("tuple[int, bool]", given["data"])
    assert (given["typestr"], given["version"], given["stream"], read_only) == ("|u1", 3, 1, True)
    block = (ctypes.c_uint8 * (shape[0] * strides[0])).from_address(pointer)
    block.surface = surface  # type: ignore[attr-defined]
    whole = np.ctypeslib.as_array(block)
    view = np.lib.stride_tricks.as_strided(whole, shape, strides, writeable=False)
    return ops.Tensor.borrow(view, ops.Stream("cpu"))


class HostSurfaceBuilder(SurfaceBuilder):
    """Builds frames from pictures of this module, whose planes lie on the host."""

    def __init__(self, camera: str) -> None:
        super().__init__(camera, lent_on_host)

    def side_data(self, picture: VideoFrame) -> Iterable[SideData]:
        return cast("Iterable[SideData]", cast("MadeUpPicture", picture).side_data)


class MadeUpNvdec(Nvdec):
    """FFmpeg's decoder of the CPU, its pictures handed on as surfaces."""

    def accelerator(self) -> None:  # type: ignore[override]
        return None

    def accept(self, context: VideoCodecContext, camera: str) -> None:
        pass

    def builder(self, camera: str, options: PictureOptions = AS_SENT) -> SurfaceBuilder:
        return _MadeUpBuilder(camera)


class _MadeUpBuilder(HostSurfaceBuilder):
    def build(
        self, picture: VideoFrame, *, sequence: int, captured_at: datetime, sample_aspect: Fraction = SQUARE
    ) -> Frame:
        same = ColorRange(picture.color_range)
        nv12 = picture.reformat(format="nv12", src_color_range=same, dst_color_range=same)
        there = MadeUpPicture(
            nv12.planes,
            nv12.width,
            nv12.height,
            colorspace=picture.colorspace,
            color_range=picture.color_range,
            interlaced_frame=picture.interlaced_frame,
        )
        return super().build(
            cast("VideoFrame", there), sequence=sequence, captured_at=captured_at, sample_aspect=sample_aspect
        )
