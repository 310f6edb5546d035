"""The student embedder: a small residual network of dense 3x3 convolutions.

Dense convolutions, because a CPU trains them three times faster per multiplication than depthwise ones, and runs them
well in int8.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE_PX = 112
MEAN, SCALE = 127.5, 1 / 128  # input = (BGR 0-255 - MEAN) * SCALE


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, activate: bool = True) -> nn.Sequential:
    """Convolution, batch norm and, where asked, ReLU."""
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if activate else nn.Sequential(*layers)


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(channels, channels), conv(channels, channels, activate=False))
        nn.init.zeros_(self.body[1][1].weight)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


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
        self.fine = nn.Sequential(
            conv(3, 32, stride=2),
            conv(32, 64, stride=2),
            Residual(64),
            conv(64, 128, stride=2),
            Residual(128),
            Residual(128),
        )
        self.coarse = nn.Sequential(conv(128, 192, stride=2), Residual(192), Residual(192))
        self.widen = conv(192, 384, kernel=1)
        self.pool = PlacedPool(384)
        self.norm = nn.BatchNorm1d(384)
        self.out = nn.Linear(384, 256)

    def forward(self, x: Tensor) -> Tensor:
        return self.embed_with_features(x)[0]

    def embed_with_features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The embeddings, and the maps at strides 8 and 16 that learn the teacher's."""
        fine = self.fine(x)
        coarse = self.coarse(fine)
        return self.out(self.norm(self.pool(self.widen(coarse)))), fine, coarse
