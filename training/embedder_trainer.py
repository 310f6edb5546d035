"""The student embedder in training: its loss, one step of it, and what is saved.

Everything (virtual faces, the teacher, the damage, the student, the optimiser) runs on one device in steps of fixed
shape; a GPU records a step once and replays it, so that it never waits for Python.
"""

from __future__ import annotations

import argparse
import copy
import math
from collections.abc import Callable
from pathlib import Path

import torch
from embedder_network import MAP_CHANNELS, MAP_STRIDES, MEAN, SCALE, SIDE_PX, NanoEmbedder
from face_store import load_faces
from face_stream import FaceStream
from muon import Muon
from people import work_dir
from spoil import Spoiler, Views
from stages import Apart, join
from teacher_network import MAP_CHANNELS as TEACHER_CHANNELS
from teacher_network import open_teacher
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm
from virtual_store import StoredFaces

REUSED = 4  # a new virtual face a step for so many seen by the student
WARM_UP, FLAT = 0.03, 0.25  # shares of the time: the rate rises, then stays, then falls to nothing
EMA_DECAY = 0.998
NEIGHBOUR_TEMPERATURE = 0.06


class Loss(nn.Module):
    """How far the student is from its teacher: direction, neighbours, and inner maps."""

    def __init__(self, known: Tensor) -> None:
        super().__init__()
        self.read = nn.ModuleList(
            nn.Conv2d(mine, its, 1) for mine, its in zip(MAP_CHANNELS, TEACHER_CHANNELS, strict=True)
        )
        self.register_buffer("known", known)

    def readings(self, maps: list[Tensor]) -> list[Tensor]:
        """The student's maps in the teacher's channels."""
        return [read(mine) for read, mine in zip(self.read, maps, strict=True)]

    def forward(self, out: Tensor, maps: list[Tensor], targets: Tensor, wanted: list[Tensor]) -> Tensor:
        """float32 [4]: 1 - cosine, divergence of the neighbours, error of the similarities, error of the maps."""
        student = functional.normalize(out.float())
        direction = 1 - (student * targets).sum(1).mean()
        keys = torch.cat([targets, self.known])
        neighbours = functional.kl_div(
            functional.log_softmax(student @ keys.T / NEIGHBOUR_TEMPERATURE, 1),
            functional.log_softmax(targets @ keys.T / NEIGHBOUR_TEMPERATURE, 1),
            reduction="batchmean",
            log_target=True,
        )
        similar = ((student @ student.T - targets @ targets.T) ** 2).mean()
        inner = sum(((mine.float() - its) ** 2).mean() for mine, its in zip(maps, wanted, strict=True))
        return torch.stack([direction, neighbours, similar, inner / len(wanted)])


def rate_at(progress: float) -> float:
    """The learning rate as a share of its peak."""
    if progress < WARM_UP:
        return 0.05 + 0.95 * progress / WARM_UP
    falling = max(0.0, progress - FLAT) / (1 - FLAT)
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, falling)) + 1e-4


class Trainer:
    """The student, what trains it, and one step of it."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.manual_seed(options.seed)
        self.device = torch.device(options.device)
        self._batch = options.batch
        self.stream = StoredFaces(options.virtual, self.device) if options.virtual else self._asked(options)
        self.model = NanoEmbedder().to(self.device, memory_format=torch.channels_last)
        self.loss_of = Loss(self.stream.known).to(self.device)
        self.average = copy.deepcopy(self.model).eval()
        self._rate = torch.tensor(0.0, device=self.device)
        self._muon = options.muon
        self._learn(self.model)
        self._peak = options.rate
        self._share = torch.zeros(4, device=self.device)
        self._keep = torch.zeros((), device=self.device)
        self.running = torch.zeros(4, device=self.device)
        self.steps, self.seconds = 0, 0.0
        self.apart: Apart | None = None
        self.set_side(SIDE_PX)

    def _asked(self, options: argparse.Namespace) -> FaceStream:
        pool = load_faces(work_dir() / "faces_learn.npz").crops[: options.people or None]
        return FaceStream(
            torch.from_numpy(pool).to(self.device).permute(0, 3, 1, 2).contiguous(),
            open_teacher(self.device),
            size=options.ring,
            new=options.batch // REUSED,
        )

    def _learn(self, student: nn.Module) -> None:
        """Begin to move the weights of a student and of the layers that read it."""
        on_gpu = self.device.type == "cuda"
        self._learnt = [*student.parameters(), *self.loss_of.parameters()]
        matrices = [p for p in student.parameters() if p.ndim > 1 and p.numel() > 4096 and p.shape[0] > 1]
        chosen = {id(p) for p in matrices} if self._muon else set()
        others = [p for p in self._learnt if id(p) not in chosen]
        self._optimisers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                [
                    {"params": [p for p in others if p.ndim > 1], "weight_decay": 0.03},
                    {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
                ],
                lr=self._rate,
                fused=True,
                capturable=on_gpu,
            )
        ]
        if self._muon:
            self._optimisers.append(Muon(matrices, self._rate, self._muon, on_gpu=on_gpu))

    def set_side(self, side: int) -> None:
        """Make the student's crops so large from now on."""
        self.side = side
        self._spoiler = Spoiler(side).to(self.device)

    def views(self) -> tuple[Tensor, Tensor, list[Tensor]]:
        """What one step learns from: crops as the network reads them, targets, and the teacher's maps in their view."""
        with torch.no_grad():
            masters, targets, maps = self.stream.draw(self._batch)
            views = Views(self._batch, self.device)
            crops = self._spoiler(views.crops(masters, self.side))
            x = crops.sub(MEAN).mul(SCALE).contiguous(memory_format=torch.channels_last)
            wanted = [views.see(m, self.side // stride) for m, stride in zip(maps, MAP_STRIDES, strict=True)]
        return x, targets, wanted

    def step(self) -> None:
        """Make faces, learn from some, follow with the average. Everything stays on the device."""
        self._step(lambda x, _: self.model.embed_with_maps(x))
        with torch.no_grad():
            average, current = list(self.average.parameters()), list(self.model.parameters())
            torch._foreach_mul_(average, self._keep)
            torch._foreach_add_(average, torch._foreach_mul(current, 1 - self._keep))

    def begin_apart(self) -> None:
        """Take the student to pieces, which learn apart by `step_apart` until `join`."""
        self.apart = Apart(self.model)
        self._learn(self.apart)

    def step_apart(self) -> None:
        """The step of the pieces."""
        if self.apart is None:
            raise ValueError("the student is in one piece: begin_apart comes first")
        self._step(self.apart)

    def show_joined(self) -> None:
        """Make the average what the pieces would be as one network now, to be measured."""
        if self.apart is not None:
            join(self.apart, self.loss_of.read, self.average)

    def join(self) -> None:
        """Go on with one network made of the pieces."""
        self.show_joined()
        self.model.load_state_dict(self.average.state_dict())
        self.apart = None
        self._learn(self.model)

    def _step(self, answer: Callable[[Tensor, list[Tensor]], tuple[Tensor, list[Tensor]]]) -> None:
        self.stream.make()
        x, targets, wanted = self.views()
        for optimiser in self._optimisers:
            optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False):
            out, maps = answer(x, wanted)
            maps = self.loss_of.readings(maps)
        read_from = self.loss_of(out, maps, targets, wanted)
        (read_from * self._share).sum().backward()
        nn.utils.clip_grad_norm_(self._learnt, 5.0, foreach=True)
        for optimiser in self._optimisers:
            optimiser.step()
        with torch.no_grad():
            self.running.lerp_(read_from.detach(), 1 - self._keep.clamp(max=0.98))

    def plan(self, progress: float) -> None:
        """Set the rate and the weights of the losses for this share of the time."""
        self._rate.fill_(self._peak * rate_at(progress))
        self._keep.fill_(min(EMA_DECAY, (1 + self.steps) / (20 + self.steps)))
        inner = max(0.1, 1 - 1.3 * progress)
        for i, share in enumerate((2.0, 0.3, 1.2, inner)):
            self._share[i].fill_(share)

    def rehearse(self, steps: int) -> None:
        """Take the first steps one by one, aside, as recording wants it."""
        if self.device.type != "cuda":
            for _ in range(steps):
                self.step()
            return
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(steps):
                self.step()
        torch.cuda.current_stream().wait_stream(aside)
        torch.cuda.synchronize()

    def recorded(self) -> Callable[[], None]:
        """The step, recorded for replay on a GPU; where that fails it says so and the step stays as it is.

        A recording keeps the places of all tensors: nothing may be loaded after it. Faces read from disk come through
        the host, which a recording would not do again.
        """
        if self.device.type != "cuda" or not isinstance(self.stream, FaceStream):
            return self.step
        self.rehearse(3)
        for optimiser in self._optimisers:
            optimiser.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.step()
        except RuntimeError as error:
            tqdm.write(f"steps are not recorded: {error}")
            torch.cuda.synchronize()
            return self.step
        return graph.replay

    def settle(self, batches: int) -> None:
        """Estimate the average's batch-norm statistics anew: they belong to its weights, not to the student's."""
        norms = [m for m in self.average.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
        self.average.train()
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False):
            for _ in range(batches):
                self.average(self.views()[0])
        self.average.eval()

    def state(self) -> dict[str, object]:
        return {
            "model": self.model.state_dict(),
            "apart": self.apart.state_dict() if self.apart is not None else None,
            "loss": self.loss_of.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [o.state_dict() for o in self._optimisers],
            "steps": self.steps,
            "seconds": self.seconds,
            "samples": self.steps * self._batch,
        }

    def load(self, path: Path) -> None:
        saved = torch.load(path, map_location=self.device)
        if saved.get("apart") is not None:
            if self.apart is None:
                self.begin_apart()
            self.apart.load_state_dict(saved["apart"])
        self.model.load_state_dict(saved["model"])
        self.loss_of.load_state_dict(saved["loss"])
        self.average.load_state_dict(saved["average"])
        rates = [[group["lr"] for group in o.param_groups] for o in self._optimisers]
        for optimiser, state, rate in zip(self._optimisers, saved["optimisers"], rates, strict=True):
            optimiser.load_state_dict(state)
            for group, lr in zip(optimiser.param_groups, rate, strict=True):
                group["lr"] = lr  # the tensor that `plan` writes to
        self.steps, self.seconds = saved["steps"], saved["seconds"]
