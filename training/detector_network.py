"""The student detector: a small residual pyramid whose outputs carry the YuNet head's names and layouts.

Nothing in it looks at the whole picture, so that one learnt on small pictures answers alike on large ones. The first
layer steps by four at once: at full resolution a CPU waits for memory.
"""

from __future__ import annotations

import torch
from embedder_network import conv
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (8, 16, 32)
INPUT_SCALE = 1 / 64  # inside the network: it takes BGR 0-255
HEAD_VALUES = 15  # one score, four of the box, ten of the landmarks
STEM, WIDTHS, PYRAMID = 32, (48, 64, 96), 32


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(channels, channels), conv(channels, channels, activate=False))
        nn.init.zeros_(self.body[1][1].weight)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


class NanoDetector(nn.Module):
    """BGR 0-255 [n, 3, h, w], multiples of 32, to a [n, cells, 15] a stride: score (no sigmoid), box, landmarks."""

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = WIDTHS
        self.input_scale: float | None = INPUT_SCALE  # None where the first layer has it in its weights
        self.stem = conv(3, STEM, kernel=5, stride=4)
        self.at_8 = nn.Sequential(conv(STEM, fine, stride=2), conv(fine, fine))
        self.at_16 = nn.Sequential(conv(fine, middle, stride=2), Block(middle))
        self.at_32 = nn.Sequential(conv(middle, coarse, stride=2), Block(coarse))
        self.across = nn.ModuleList([conv(channels, PYRAMID, kernel=1) for channels in WIDTHS])
        self.heads = nn.ModuleList(
            [nn.Sequential(conv(PYRAMID, PYRAMID), nn.Conv2d(PYRAMID, HEAD_VALUES, 1)) for _ in STRIDES]
        )
        for head in self.heads:
            nn.init.constant_(head[1].bias[:1], -4.0)

    def forward(self, x: Tensor) -> list[Tensor]:
        fine = self.at_8(self.stem(x if self.input_scale is None else x * self.input_scale))
        middle = self.at_16(fine)
        coarse = self.at_32(middle)
        coarse = self.across[2](coarse)
        middle = self.across[1](middle) + functional.interpolate(coarse, scale_factor=2.0)
        fine = self.across[0](fine) + functional.interpolate(middle, scale_factor=2.0)
        maps = [head(level) for head, level in zip(self.heads, (fine, middle, coarse), strict=True)]
        return [m.permute(0, 2, 3, 1).flatten(1, 2) for m in maps]


class YuNetOutputs(nn.Module):
    """The detector as it is exported: twelve outputs named as YuNet's. One score stands for both of its two."""

    names = tuple(f"{head}_{stride}" for head in ("cls", "obj", "bbox", "kps") for stride in STRIDES)

    def __init__(self, detector: NanoDetector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = self.detector(x)
        scores = [torch.sigmoid(m[..., :1]) for m in maps]
        return (*scores, *(s * 1.0 for s in scores), *(m[..., 1:5] for m in maps), *(m[..., 5:] for m in maps))
