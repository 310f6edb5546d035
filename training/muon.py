"""Muon: momentum whose update is brought near an orthogonal matrix, for the weights that are matrices.

K. Jordan and others, 2024. Fixed shapes and no waiting, so that a GPU can record it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

MOMENTUM, DECAY = 0.95, 0.03


class Muon(torch.optim.Optimizer):
    """The rate is a tensor written to from outside, times `factor`."""

    def __init__(self, parameters: list[nn.Parameter], rate: Tensor, factor: float, *, on_gpu: bool) -> None:
        super().__init__(parameters, {"lr": rate, "factor": factor})
        self._dtype = torch.bfloat16 if on_gpu else torch.float32

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # noqa: ARG002 (the base class has it)
        """Move every weight."""
        for group in self.param_groups:
            rate = group["lr"] * group["factor"]
            for p in group["params"]:
                if "momentum" not in self.state[p]:
                    self.state[p]["momentum"] = torch.zeros_like(p)
                momentum = self.state[p]["momentum"]
                momentum.lerp_(p.grad, 1 - MOMENTUM)
                ahead = p.grad.lerp(momentum, MOMENTUM)
                rows, columns = ahead.shape[0], ahead[0].numel()
                # Scaled so that the update's size is that of AdamW's (J. Liu and others, 2025).
                turned = orthogonal(ahead.reshape(rows, columns), self._dtype) * (0.2 * math.sqrt(max(rows, columns)))
                p.mul_(1 - rate * DECAY).sub_(turned.view(p.shape).to(p.dtype) * rate)


def orthogonal(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """A matrix with the same singular vectors and singular values near 1, by five Newton-Schulz steps."""
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x.to(dtype)
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.T.to(matrix.dtype) if matrix.shape[0] > matrix.shape[1] else x.to(matrix.dtype)
