"""An endless stream of virtual faces with their teacher's answers, kept in a ring on the device that trains."""

from __future__ import annotations

import time

import torch
from align import MASTER_PX, TEACHER_PX
from teacher_network import DIMENSION, MAP_CELLS, MAP_CHANNELS, Answer
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm
from virtual_faces import virtual_faces

EDGE = (MASTER_PX - TEACHER_PX) // 2
SAMPLED = 1024  # virtual faces from which it is learnt what is normal for a map


class FaceStream:
    """Makes virtual faces, asks the teacher about each once, and lends each a few times."""

    def __init__(self, pool: Tensor, teacher: Answer, *, size: int, new: int) -> None:
        """Over real faces uint8 [n, 3, 160, 160]; `size` are kept, and each `make` adds `new`, a divisor of it."""
        self._pool, self._teacher, self.size, self._new = pool, teacher, size, new
        device = pool.device
        self._faces = torch.zeros(size, 3, MASTER_PX, MASTER_PX, dtype=torch.uint8, device=device)
        self._targets = torch.zeros(size, DIMENSION, device=device)
        self._maps = [
            torch.zeros(size, channels, cells, cells, dtype=torch.float16, device=device)
            for channels, cells in zip(MAP_CHANNELS, MAP_CELLS, strict=True)
        ]
        self._next = torch.zeros((), dtype=torch.int64, device=device)
        self._filled = torch.zeros((), device=device)
        self._rows = torch.arange(new, device=device)
        self._layout = torch.contiguous_format
        if device.type == "cuda":
            self._layout = min((torch.contiguous_format, torch.channels_last), key=self._seconds_of)
        self.known = self.targets_of(pool)
        # What is normal for each channel of the maps, so that each counts alike.
        samples = [self.answer(virtual_faces(pool, new))[1] for _ in range(max(2, SAMPLED // new))]
        self._normal = []
        for maps in zip(*samples, strict=True):
            together = torch.cat([m.float() for m in maps])
            self._normal.append((together.mean((0, 2, 3), keepdim=True), together.std((0, 2, 3), keepdim=True) + 1e-3))

    @torch.no_grad()
    def answer(self, masters: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """What the teacher says of masters: unit vectors (mean with the mirror image), and its maps."""
        crops = masters[:, :, EDGE:-EDGE, EDGE:-EDGE]
        both = torch.cat([crops, crops.flip(3)]).float().contiguous(memory_format=self._layout)
        vectors, maps = self._teacher(both)
        straight, mirrored = functional.normalize(vectors.float()).chunk(2)
        return functional.normalize(straight + mirrored), tuple(m[: len(masters)] for m in maps)

    def targets_of(self, masters: Tensor) -> Tensor:
        """The teacher's vectors of any number of masters, asked in batches of one shape."""
        count, device = len(masters), masters.device
        batches = [
            self.answer(masters[(torch.arange(self._new, device=device) + i) % count])[0]
            for i in range(0, count, self._new)
        ]
        return torch.cat(batches)[:count]

    @torch.no_grad()
    def make(self) -> None:
        """Put new faces where the oldest are."""
        faces = virtual_faces(self._pool, self._new)
        targets, maps = self.answer(faces)
        at = (self._next + self._rows) % self.size
        self._faces.index_copy_(0, at, faces)
        self._targets.index_copy_(0, at, targets)
        for ring, new, (mean, spread) in zip(self._maps, maps, self._normal, strict=True):
            ring.index_copy_(0, at, ((new.float() - mean) / spread).to(ring.dtype).contiguous())
        self._next += self._new
        self._filled.copy_(self._next.clamp(max=self.size))

    @torch.no_grad()
    def draw(self, count: int) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Any of the faces kept: masters uint8, targets float32 and normalised maps float16."""
        at = (torch.rand(count, device=self._targets.device) * self._filled).long().clamp(max=self.size - 1)
        return self._faces[at], self._targets[at], [ring[at] for ring in self._maps]

    def newest(self, count: int) -> tuple[Tensor, Tensor, list[Tensor]]:
        """The first `count` faces of the ring, as `draw` gives them: the newest where a `make` fills all of it."""
        return self._faces[:count], self._targets[:count], [ring[:count] for ring in self._maps]

    def _seconds_of(self, layout: torch.memory_format) -> float:
        """How long the teacher takes in a layout, by a few runs on the GPU."""
        self._layout = layout
        faces = self._pool[: self._new]
        for i in range(8):
            if i == 3:
                torch.cuda.synchronize()
                began = time.monotonic()
            self.answer(faces)
        torch.cuda.synchronize()
        taken = (time.monotonic() - began) / 5
        tqdm.write(f"the teacher in {layout}: {2 * self._new / taken:.0f} crops/s")
        return taken
