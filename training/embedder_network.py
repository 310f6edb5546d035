"""The student embedder: a small residual network of dense 3x3 convolutions, each block's answer gated by channel.

Dense convolutions, because CPUs run and train them three times faster per multiplication than depthwise ones, and run
them well in int8. The gates (squeeze and excitation) are the teacher's own, and cost little.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE_PX = 112
MEAN, SCALE = 127.5, 1 / 128  # input = (BGR 0-255 - MEAN) * SCALE
MAP_CHANNELS, MAP_STRIDES = (64, 128, 192), (4, 8, 16)
BLOCKS = (1, 3, 2)


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, activate: bool = True) -> nn.Sequential:
    """Convolution, batch norm and, where asked, ReLU."""
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if activate else nn.Sequential(*layers)


class Gate(nn.Module):
    """Each channel times what the whole map says of it, 0..1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // 8, 1)
        self.excite = nn.Conv2d(channels // 8, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        whole = functional.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.excite(torch.relu(self.squeeze(whole))))


class Residual(nn.Module):
    """Two 3x3 convolutions and a gate around a shortcut; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(channels, channels), conv(channels, channels, activate=False))
        self.gate = Gate(channels)
        nn.init.zeros_(self.body[1][1].weight)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.gate(self.body(x)))


class PlacedPool(nn.Module):
    """A weighted sum over places, a weight a channel and place; the 7x7 weights stretch to the map at hand."""

    def __init__(self, channels: int, cells: int = SIDE_PX // 16) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, channels, cells, cells), 1 / cells**2))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        if x.shape[2:] != weight.shape[2:]:
            places = x.shape[2] * x.shape[3]
            weight = functional.interpolate(weight, x.shape[2:], mode="bilinear") * (
                weight.shape[2] * weight.shape[3] / places
            )
        return (x.float() * weight).sum((2, 3))


class NanoEmbedder(nn.Module):
    """Crops [n, 3, 112, 112] to embeddings [n, 256]; smaller multiples of 16 px work too, for cheap early training."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 32, stride=2)
        stages, width = [], 32
        for channels, blocks in zip(MAP_CHANNELS, BLOCKS, strict=True):
            stages.append(nn.Sequential(conv(width, channels, stride=2), *(Residual(channels) for _ in range(blocks))))
            width = channels
        self.stages = nn.ModuleList(stages)
        self.widen = conv(width, 384, kernel=1)
        self.pool = PlacedPool(384)
        self.norm = nn.BatchNorm1d(384)
        self.out = nn.Linear(384, 256)

    def forward(self, x: Tensor) -> Tensor:
        return self.embed_with_maps(x)[0]

    def embed_with_maps(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The embeddings, and the maps at strides 4, 8 and 16 that learn the teacher's."""
        x, maps = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return self.out(self.norm(self.pool(self.widen(x)))), maps
