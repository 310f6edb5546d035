"""Stage-wise distillation: each stage of the student learns to turn the teacher's map into the teacher's next one.

The stages learn side by side and apart: none waits for a better one before it. `join` then makes one network of them:
what read a stage's map out into the teacher's channels goes into the first layer of the next stage, which expects them.
"""

from __future__ import annotations

import copy

import torch
from embedder_network import NanoEmbedder
from teacher_network import MAP_CHANNELS
from torch import Tensor, nn


class Apart(nn.Module):
    """The student with every stage but the first reading the teacher's map before it."""

    def __init__(self, student: NanoEmbedder) -> None:
        super().__init__()
        self.student = copy.deepcopy(student)
        for entrance, inputs in zip(entrances(self.student), MAP_CHANNELS, strict=True):
            old = entrance[0]
            new = nn.Conv2d(inputs, old.out_channels, old.kernel_size, old.stride, old.padding, bias=False)
            entrance[0] = new.to(old.weight.device, memory_format=torch.channels_last)

    def forward(self, x: Tensor, before: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """What the last layers make of the teacher's last map, and the stages of the crops and of the maps `before`."""
        student, (first, *others) = self.student, self.student.stages
        maps = [first(student.stem(x)), *(stage(given) for stage, given in zip(others, before, strict=False))]
        return student.out(student.norm(student.pool(student.widen(before[-1])))), maps


def entrances(student: NanoEmbedder) -> list[nn.Sequential]:
    """The first convolution, with its norm, of every part that follows a map."""
    return [*(stage[0] for stage in student.stages[1:]), student.widen]


@torch.no_grad()
def join(apart: Apart, read: nn.ModuleList, student: NanoEmbedder) -> None:
    """Give `student` what the stages have learnt; `read` read their maps out in the teacher's channels.

    The biases of `read` are left to the norms behind the entrances, whose statistics training estimates again.
    """
    together = copy.deepcopy(apart.student)
    for entrance, reading in zip(entrances(together), read, strict=True):
        weight = torch.einsum("otxy,ts->osxy", entrance[0].weight, reading.weight[..., 0, 0])
        entrance[0].weight = nn.Parameter(weight)
    student.load_state_dict(together.state_dict())
