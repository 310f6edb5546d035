"""Virtual faces and what their teacher says of them, kept on disk: computed once, for any number of trainings.

A folder of plain arrays, 290 kB a face. Nothing is spoilt in it: that happens on the student's side, anew each time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from align import MASTER_PX
from face_stream import FaceStream
from numpy.typing import NDArray
from teacher_network import DIMENSION, MAP_CELLS, MAP_CHANNELS
from torch import Tensor
from tqdm import tqdm

_FILLED = "filled.txt"
_MAPS = [f"map{i}" for i in range(len(MAP_CELLS))]


def _shapes(size: int) -> dict[str, tuple[tuple[int, ...], str]]:
    maps = zip(_MAPS, MAP_CHANNELS, MAP_CELLS, strict=True)
    return {
        "faces": ((size, 3, MASTER_PX, MASTER_PX), "uint8"),
        "targets": ((size, DIMENSION), "float32"),
        **{name: ((size, channels, cells, cells), "float16") for name, channels, cells in maps},
    }


def _open(folder: Path, size: int | None) -> dict[str, NDArray[np.generic]]:
    """The arrays in a folder; with a size they are made where they are missing."""
    if size is not None and not (folder / "targets.npy").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name, (shape, dtype) in _shapes(size).items():
            np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", shape=shape, dtype=dtype)
    mode = "r" if size is None else "r+"
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode=mode) for name in _shapes(1)}
    if size is not None and len(arrays["targets"]) != size:
        raise SystemExit(f"{folder} was made for {len(arrays['targets'])} faces, got {size}: name another folder")
    return arrays


def write_store(folder: Path, stream: FaceStream, held_out: Tensor, *, size: int, seed: int) -> None:
    """Fill a folder from a stream whose ring is `stream.size` faces; goes on where it stopped.

    The masters `held_out`, uint8 [n, 3, 160, 160], are asked about too; none of them is learnt from.
    """
    arrays, step = _open(folder, size), stream.size
    if not (folder / "known.npy").exists():
        np.save(folder / "held_out.npy", stream.targets_of(held_out).numpy())
        np.save(folder / "known.npy", stream.known.numpy())
    progress = folder / _FILLED
    begin = int(progress.read_text(encoding="ascii")) if progress.exists() else 0
    for at in tqdm(range(begin, size, step), initial=begin // step, total=-(-size // step), unit=f"{step} faces"):
        torch.manual_seed(seed * 1_000_003 + at)
        stream.make()
        count = min(step, size - at)
        faces, targets, maps = stream.newest(count)
        for name, new in zip(("faces", "targets", *_MAPS), (faces, targets, *maps), strict=True):
            arrays[name][at : at + count] = new.numpy()
        progress.write_text(str(at + count), encoding="ascii")


class StoredFaces:
    """Lends virtual faces from a folder as `FaceStream` lends them from its ring; no teacher is needed any more."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._arrays, self._device = _open(folder, None), device
        self._count = int((folder / _FILLED).read_text(encoding="ascii"))
        self.known, self._held_out = (
            torch.from_numpy(np.load(folder / f"{name}.npy")).to(device) for name in ("known", "held_out")
        )

    def make(self) -> None:
        """Nothing: all faces are there."""

    def targets_of(self, masters: Tensor) -> Tensor:
        """The teacher's vectors of the people held out, who alone are asked about here."""
        if len(masters) != len(self._held_out):
            raise ValueError(f"the teacher was asked about {len(self._held_out)} held-out faces, got {len(masters)}")
        return self._held_out

    def draw(self, count: int) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Any of the faces: masters uint8, targets float32 and normalised maps float16."""
        at = torch.randint(self._count, (count,)).numpy()
        faces, targets, *maps = (
            torch.from_numpy(self._arrays[name][at]).to(self._device) for name in ("faces", "targets", *_MAPS)
        )
        return faces, targets, maps
