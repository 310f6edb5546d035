"""What cameras do to faces, in batches of tensors: fresh damage that only the student sees and learns to look through.

Fixed shapes and the device's own generator, as in `virtual_faces.py`. Small pictures and blur are one multiplication
from the left and the right by a matrix out of a bank; a JPEG is its DCT, quantised.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np
import torch
from align import MASTER_PX, TEACHER_PX
from torch import Tensor, nn
from torch.nn import functional
from virtual_faces import base_grid, chance

SPARED = 0.35  # the share of faces that stay as good as they are
SHRUNK, BLURRED, MOVING, RELIT, DIM, GREY, NOISY, COVERED, MASKED = 0.4, 0.18, 0.1, 0.35, 0.1, 0.08, 0.25, 0.12, 0.06
CODED = ((0.16, 1.0), (0.12, 0.57), (0.1, 0.36))  # the share coded by JPEG at this scale of the student's crop
TURNED = 0.12  # the share seen from the side
SMALLEST = 0.18  # of the student's crop, before it is enlarged again
HEAD = 1.15  # the radius of a head, in half fields


class Views:
    """Where the student looks: the teacher's field moved, turned and mirrored as uncertain landmarks and cameras do."""

    def __init__(self, count: int, device: torch.device) -> None:
        turn = torch.randn(count, device=device) * math.radians(3.5)
        grow = torch.exp(torch.randn(count, device=device) * 0.04)
        mirror = torch.where(torch.rand(count, device=device) < 0.5, -1.0, 1.0)
        cos, sin = grow * torch.cos(turn), grow * torch.sin(turn)
        self._turned = torch.stack([torch.stack([cos * mirror, -sin], 1), torch.stack([sin * mirror, cos], 1)], 1)
        self._shift = torch.randn(count, 1, 1, 2, device=device) * 0.036
        yaw = (torch.rand(count, 1, 1, device=device) * 2 - 1) * math.radians(38)
        self._yaw = yaw * chance(count, TURNED, device)[..., 0]

    def see(self, pictures: Tensor, side: int, field: float = 1.0) -> Tensor:
        """float32 [n, c, side, side] of pictures [n, c, h, w] whose middle `field` is the teacher's field."""
        grid = base_grid(side, pictures.device).expand(len(pictures), side, side, 2)
        # A head turned on its axis: a cylinder's far side is pressed together, the near side drawn out.
        across = torch.sin(torch.asin((grid[..., 0] / HEAD).clamp(-0.99, 0.99)) + self._yaw) - torch.sin(self._yaw)
        grid = torch.stack([across * HEAD, grid[..., 1]], 3)
        grid = (torch.einsum("nhwi,nji->nhwj", grid, self._turned) + self._shift) * field
        return functional.grid_sample(pictures.float(), grid, padding_mode="reflection", align_corners=False)

    def crops(self, masters: Tensor, side: int) -> Tensor:
        """float32 [n, 3, side, side] in 0..255 of masters uint8 [n, 3, 160, 160]."""
        return self.see(masters, side, TEACHER_PX / MASTER_PX)


class Spoiler(nn.Module):
    """Spoils crops float32 [n, 3, side, side] in 0..255, all but a third of them."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self._side = side
        scales = np.linspace(SMALLEST, 0.8, 24)
        sigmas = np.linspace(0.4, 1.8, 8) * side / 112
        self.register_buffer(
            "shrinking", stacked(enlarging(side, s, i) @ shrinking(side, s) for i, s in enumerate(scales))
        )
        self.register_buffer("blurring", stacked(gaussian(side, s) for s in sigmas))
        self.register_buffer("motions", stacked(motions(64)))
        self._coded = []
        for share, scale in CODED:
            small = max(16, round(side * scale / 16) * 16)
            self._coded.append((share, small))
            self.register_buffer(f"down_{small}", stacked([shrinking(side, small / side, small)])[0])
            self.register_buffer(f"up_{small}", stacked([enlarging(side, small / side, 0, small)])[0])
        self.register_buffer("dct", stacked([dct_matrix()])[0])
        self.register_buffer("tables", stacked([LUMINANCE, CHROMINANCE, CHROMINANCE]))
        self.register_buffer("to_ycc", stacked([TO_YCC])[0])
        self.register_buffer("to_bgr", stacked([np.linalg.inv(TO_YCC)])[0])

    def forward(self, crops: Tensor) -> Tensor:
        spared = round(len(crops) * SPARED)
        return torch.cat([crops[:spared], self.spoil(crops[spared:])])

    def spoil(self, faces: Tensor) -> Tensor:
        count, device = len(faces), faces.device
        faces = resampled(faces, self._drawn(self.shrinking, count, SHRUNK))
        faces = resampled(faces, self._drawn(self.blurring, count, BLURRED))
        moving = round(count * MOVING)
        faces = torch.cat([self._moved(faces[:moving]), faces[moving:]])

        def normal(spread: float) -> Tensor:
            return torch.randn(count, 1, 1, 1, device=device) * spread

        curve = ((faces.clamp(1, 255) / 255) ** torch.exp(normal(0.35)) - 0.5) * torch.exp(normal(0.2)) + 0.5
        faces = torch.where(chance(count, RELIT, device), ((curve + normal(0.08)) * 255).clamp(0, 255), faces)
        dimmed = faces * (torch.rand(count, 1, 1, 1, device=device) * 0.4 + 0.1)
        faces = torch.where(chance(count, DIM, device), dimmed, faces)
        grey = (faces * self.to_ycc[0].view(1, 3, 1, 1)).sum(1, keepdim=True)
        faces = torch.where(chance(count, GREY, device), grey, faces)
        noise = torch.randn_like(faces) * (torch.rand(count, 1, 1, 1, device=device) * 13 + 2)
        faces = torch.where(chance(count, NOISY, device), (faces + noise).clamp(0, 255), faces)
        parts, start = [], round(count * 0.05)
        parts.append(faces[:start])
        for share, small in self._coded:
            end = start + round(count * share)
            parts.append(self._coded_at(faces[start:end], small))
            start = end
        return covered(torch.cat([*parts, faces[start:]])).clamp(0, 255)

    def _drawn(self, bank: Tensor, count: int, share: float) -> Tensor:
        """float32 [count, side, side]: matrices out of the bank for that share, the identity for the others."""
        some = bank[torch.randint(len(bank), (count,), device=bank.device)]
        return torch.where(chance(count, share, bank.device)[..., 0], some, torch.eye(self._side, device=bank.device))

    def _moved(self, faces: Tensor) -> Tensor:
        kernels = self.motions[torch.randint(len(self.motions), (len(faces),), device=faces.device)]
        kernels = kernels.repeat_interleave(3, 0)[:, None]
        rows = functional.pad(faces, (3, 3, 3, 3), mode="replicate").reshape(1, -1, self._side + 6, self._side + 6)
        return functional.conv2d(rows, kernels, groups=kernels.shape[0]).view_as(faces)

    def _coded_at(self, faces: Tensor, small: int) -> Tensor:
        """Brought to `small` pixels, coded there with colour at half resolution, and brought back."""
        down, up = getattr(self, f"down_{small}"), getattr(self, f"up_{small}")
        ycc = torch.einsum("dc,nchw->ndhw", self.to_ycc, down @ faces @ down.T)
        quality = torch.rand(len(faces), 1, 1, 1, 1, 1, device=faces.device) * 72 + 18
        coarse = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
        colour = self._quantised(functional.avg_pool2d(ycc[:, 1:], 2), coarse, self.tables[1:])
        ycc = torch.cat(
            [
                self._quantised(ycc[:, :1], coarse, self.tables[:1]),
                functional.interpolate(colour, (small, small), mode="bilinear", align_corners=False),
            ],
            1,
        )
        return (up @ torch.einsum("dc,nchw->ndhw", self.to_bgr, ycc) @ up.T).clamp(0, 255)

    def _quantised(self, planes: Tensor, coarse: Tensor, tables: Tensor) -> Tensor:
        n, c, h, w = planes.shape
        blocks = planes.reshape(n, c, h // 8, 8, w // 8, 8).transpose(3, 4)
        steps = (tables[None, :, None, None] * coarse).clamp(1, 255)
        told = torch.round(self.dct @ blocks @ self.dct.T / steps) * steps
        return (self.dct.T @ told @ self.dct).transpose(3, 4).reshape(n, c, h, w)


def covered(faces: Tensor) -> Tensor:
    """A box over some faces, and over others everything below the eyes, as a mask covers it."""
    count, side, device = len(faces), faces.shape[2], faces.device
    x, y = base_grid(side, device).permute(2, 0, 1)
    centre = torch.rand(2, count, 1, 1, 1, device=device) * 1.6 - 0.8
    half = torch.rand(2, count, 1, 1, 1, device=device) * 0.27 + 0.1
    box = ((x - centre[0]).abs() < half[0]) & ((y - centre[1]).abs() < half[1])
    edge = torch.rand(count, 1, 1, 1, device=device) * 0.3 + 0.05 + 0.25 * x**2
    hidden = (box & chance(count, COVERED, device)) | ((y > edge) & chance(count, MASKED, device))
    colour = torch.rand(count, 3, 1, 1, device=device) * 255
    return torch.where(hidden, colour, faces)


def resampled(faces: Tensor, matrices: Tensor) -> Tensor:
    """Rows and columns of [n, 3, h, w] through matrices [n, h, h]."""
    return matrices[:, None] @ faces @ matrices.transpose(1, 2)[:, None]


def stacked(matrices: Iterable[np.ndarray]) -> Tensor:
    """float32 [n, ...], of one shape each."""
    return torch.from_numpy(np.stack([np.asarray(m, np.float32) for m in matrices]))


def shrinking(side: int, scale: float, small: int = 0) -> np.ndarray:
    """[small, side]: a mean over the pixels that become one."""
    small = small or max(4, round(side * scale))
    return cv2.resize(np.eye(side, dtype=np.float32), (side, small), interpolation=cv2.INTER_AREA)


def enlarging(side: int, scale: float, number: int, small: int = 0) -> np.ndarray:
    """[side, small]: the way back, bilinear or (every second) bicubic."""
    small = small or max(4, round(side * scale))
    way = cv2.INTER_LINEAR if number % 2 else cv2.INTER_CUBIC
    return cv2.resize(np.eye(small, dtype=np.float32), (small, side), interpolation=way)


def gaussian(side: int, sigma: float) -> np.ndarray:
    """[side, side]: out of focus."""
    return cv2.GaussianBlur(
        np.eye(side, dtype=np.float32), (1, 0), sigmaX=0, sigmaY=sigma, borderType=cv2.BORDER_REPLICATE
    )


def motions(count: int) -> list[np.ndarray]:
    """[7, 7] each: strokes of three to seven pixels in any direction."""
    rng, kernels = np.random.default_rng(0), []
    for i in range(count):
        stroke = np.zeros((7, 7), np.float32)
        length = 3 + i % 5
        stroke[3, 3 - length // 2 : 3 - length // 2 + length] = 1
        stroke = cv2.warpAffine(stroke, cv2.getRotationMatrix2D((3, 3), rng.uniform(0, 180), 1), (7, 7))
        kernels.append(stroke / stroke.sum())
    return kernels


def dct_matrix() -> np.ndarray:
    """[8, 8]: the orthonormal cosine transform that JPEG applies to rows and columns."""
    k, n = np.mgrid[:8, :8]
    return np.cos(math.pi * (2 * n + 1) * k / 16) * np.where(k == 0, math.sqrt(1 / 8), math.sqrt(2 / 8))


TO_YCC = np.array([[0.114, 0.587, 0.299], [0.5, -0.331264, -0.168736], [-0.081312, -0.418688, 0.5]])  # of B, G, R
# The tables of ITU-T T.81, annex K, at quality 50.
LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
CHROMINANCE = np.full((8, 8), 99)
CHROMINANCE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
