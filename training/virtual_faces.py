"""Virtual faces, made in batches of tensors on the device that trains: faces of nobody, mixed from real ones.

A virtual face is one real face, two blended, two or three cut together along soft masks, or one half mirrored; then
half of them are bent to another shape of head and many relit. Nobody's name is needed: the target is what the teacher
says of the mixture. Everything has a fixed shape and draws from the device's own generator, so that a GPU can record
the work once and replay it.
"""

from __future__ import annotations

import math

import torch
from align import MASTER_PX
from torch import Tensor
from torch.nn import functional

BLENDED, CUT, CUT_TWICE, HALVED = 0.22, 0.28, 0.09, 0.05  # the rest, a third, are single faces
BENT, RELIT = 0.5, 0.4


def virtual_faces(pool: Tensor, count: int) -> Tensor:
    """uint8 [count, 3, 160, 160], BGR, from a pool uint8 [n, 3, 160, 160] on any device."""
    faces = drawn(pool, count)
    blended, cut, cut_twice, halved = (round(count * share) for share in (BLENDED, CUT, CUT_TWICE, HALVED))
    end = blended
    share = torch.rand(blended, 1, 1, 1, device=pool.device) * 0.4 + 0.3
    faces[:end] = share * faces[:end] + (1 - share) * drawn(pool, blended)
    for rows in (slice(end, end + cut + cut_twice), slice(end + cut, end + cut + cut_twice)):
        mask = soft_masks(rows.stop - rows.start, pool.device)
        faces[rows] = mask * faces[rows] + (1 - mask) * drawn(pool, rows.stop - rows.start)
    end += cut + cut_twice
    across = torch.arange(MASTER_PX, device=pool.device)
    half = ((across - MASTER_PX / 2) / 6 + 0.5).clamp(0, 1)
    halves = faces[end : end + halved]
    faces[end : end + halved] = half * halves + (1 - half) * halves.flip(3)
    return relit(bent(faces)).clamp(0, 255).to(torch.uint8)


def drawn(pool: Tensor, count: int) -> Tensor:
    """float32 [count, 3, side, side]: real faces, each the right way round or mirrored."""
    faces = pool[torch.randint(len(pool), (count,), device=pool.device)].float()
    return torch.where(chance(count, 0.5, pool.device), faces.flip(3), faces)


def soft_masks(count: int, device: torch.device) -> Tensor:
    """float32 [count, 1, side, side] in 0..1: half planes, inner faces and blobs, with soft edges."""
    planes, inner = count // 3, count // 3
    axis = torch.arange(MASTER_PX, device=device, dtype=torch.float32)
    angle = torch.rand(planes, 1, 1, device=device) * 2 * math.pi
    x, y = (axis - MASTER_PX / 2 + torch.randn(planes, 1, device=device) * 14 for _ in range(2))
    plane = torch.cos(angle) * x[:, None, :] + torch.sin(angle) * y[:, :, None]
    wide = MASTER_PX * (torch.rand(inner, 1, device=device) * 0.16 + 0.18)
    high = MASTER_PX * (torch.rand(inner, 1, device=device) * 0.18 + 0.22)
    x = (axis - MASTER_PX * 0.5 + torch.randn(inner, 1, device=device) * 5) / wide
    y = (axis - MASTER_PX * 0.6 + torch.randn(inner, 1, device=device) * 5) / high
    oval = (1 - torch.sqrt(x[:, None, :] ** 2 + y[:, :, None] ** 2)) * ((wide + high) / 2)[:, :, None]
    blob = 25 * smooth(torch.randn(count - planes - inner, 1, 5, 5, device=device))[:, 0]
    distance = torch.cat([plane, oval, blob])[:, None]
    return torch.sigmoid(distance / (torch.rand(count, 1, 1, 1, device=device) * 4.5 + 1.5))


def bent(faces: Tensor) -> Tensor:
    """Half of the faces under a smooth displacement of a few pixels."""
    count, device = len(faces), faces.device
    pixels = (torch.rand(count, 1, 1, 1, device=device) * 3.5 + 1) * chance(count, BENT, device)
    shift = smooth(torch.randn(count, 2, 4, 4, device=device)) * pixels * (2 / MASTER_PX)
    return functional.grid_sample(
        faces, base_grid(MASTER_PX, device) + shift.permute(0, 2, 3, 1), padding_mode="border", align_corners=False
    )


def relit(faces: Tensor) -> Tensor:
    """Many of the faces under uneven light and another white balance."""
    count, device = len(faces), faces.device
    light = smooth(torch.exp(0.3 * torch.randn(count, 1, 3, 3, device=device))).clamp(0.3, 2)
    light = light * torch.exp(0.1 * torch.randn(count, 3, 1, 1, device=device))
    return torch.where(chance(count, RELIT, device), faces * light, faces)


def smooth(coarse: Tensor) -> Tensor:
    """A few random numbers a side drawn out to a smooth field as large as a master."""
    return functional.interpolate(coarse, (MASTER_PX, MASTER_PX), mode="bicubic", align_corners=False)


def base_grid(side: int, device: torch.device) -> Tensor:
    """float32 [side, side, 2]: where each pixel's middle lies, x then y, in -1..1."""
    axis = (torch.arange(side, device=device, dtype=torch.float32) * 2 + 1) / side - 1
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), 2)


def chance(count: int, share: float, device: torch.device) -> Tensor:
    """A mask [count, 1, 1, 1], true for about that share."""
    return torch.rand(count, 1, 1, 1, device=device) < share
