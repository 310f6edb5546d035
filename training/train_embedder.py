"""Distil the embedder: `python train_embedder.py --seconds 5400`. Run it again to go on where it stopped.

The schedule follows the clock, not the steps: on a machine that is lent or shared, time is what one knows. Everything
(virtual faces, the teacher, the damage, the student, the optimiser) runs on one device in steps of fixed shape; a GPU
records a step once and replays it, so that it never waits for Python. Measuring, saving and loading are tried in the
first seconds. Curves go to NAME.csv.

With --apart SHARE the stages learn apart for that share of the time (`stages.py`), and together afterwards.
"""

from __future__ import annotations

import argparse
import copy
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import torch
from align import MASTER_PX, TEACHER_PX
from embedder_network import MAP_CHANNELS, MAP_STRIDES, MEAN, SCALE, SIDE_PX, NanoEmbedder
from evaluate_embedder import identification
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

REUSED = 4  # a new virtual face a step for so many seen by the student
PEAK_RATE = 3e-3
WARM_UP, FLAT = 0.03, 0.25  # shares of the time: the rate rises, then stays, then falls to nothing
EMA_DECAY = 0.998
NEIGHBOUR_TEMPERATURE = 0.06
CPU_SIDES = ((0.36, 64), (0.67, 80), (0.85, 96), (1.01, SIDE_PX))  # until this share of the time, this side
CLOCKS = {"wall": time.monotonic, "processor": time.process_time}
MEASURED_EVERY = 20.0  # seconds on a GPU; 24 times that on a CPU


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
        pool = load_faces(work_dir() / "faces_learn.npz").crops[: options.people or None]
        self.stream = FaceStream(
            torch.from_numpy(pool).to(self.device).permute(0, 3, 1, 2).contiguous(),
            open_teacher(self.device),
            size=options.ring,
            new=options.batch // REUSED,
        )
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
        self.set_side(SIDE_PX)

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

    def begin_apart(self) -> Apart:
        """The student in stages that learn apart, by `step_apart`, until `join`."""
        apart = Apart(self.model)
        self._learn(apart)
        return apart

    def step_apart(self, apart: Apart) -> None:
        self._step(apart)

    def join(self, apart: Apart) -> None:
        """Go on with one network made of the stages."""
        join(apart, self.loss_of.read, self.model)
        self.average.load_state_dict(self.model.state_dict())
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

        A recording keeps the places of all tensors: nothing may be loaded after it.
        """
        if self.device.type != "cuda":
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
            "loss": self.loss_of.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [o.state_dict() for o in self._optimisers],
            "steps": self.steps,
            "seconds": self.seconds,
            "samples": self.steps * self._batch,
        }

    def load(self, path: Path) -> None:
        saved = torch.load(path, map_location=self.device)
        self.model.load_state_dict(saved["model"])
        self.loss_of.load_state_dict(saved["loss"])
        self.average.load_state_dict(saved["average"])
        rates = [[group["lr"] for group in o.param_groups] for o in self._optimisers]
        for optimiser, state, rate in zip(self._optimisers, saved["optimisers"], rates, strict=True):
            optimiser.load_state_dict(state)
            for group, lr in zip(optimiser.param_groups, rate, strict=True):
                group["lr"] = lr  # the tensor that `plan` writes to
        self.steps, self.seconds = saved["steps"], saved["seconds"]


class HeldOut:
    """The people never learnt from, on the device, with the teacher's answers."""

    def __init__(self, trainer: Trainer) -> None:
        faces = load_faces(work_dir() / "faces_held_out.npz")
        self._names = faces.names
        self._masters = torch.from_numpy(faces.crops).to(trainer.device).permute(0, 3, 1, 2).contiguous()
        self._targets = trainer.stream.targets_of(self._masters)

    @torch.no_grad()
    def measure(self, average: nn.Module, side: int) -> tuple[float, float]:
        """The mean cosine to the teacher, and TPIR at FPIR 1 % with everybody enrolled who has a second picture."""
        edge = (MASTER_PX - TEACHER_PX) // 2
        vectors = []
        searching, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, False  # odd shapes, seen once
        for i in range(0, len(self._masters), 128):
            crops = self._masters[i : i + 128, :, edge:-edge, edge:-edge].float()
            crops = functional.interpolate(crops, (side, side), mode="bilinear", align_corners=False)
            x = crops.sub(MEAN).mul(SCALE).contiguous(memory_format=torch.channels_last)
            vectors.append(functional.normalize(average(x).float()))
        torch.backends.cudnn.benchmark = searching
        found = torch.cat(vectors)
        cosine = (found * self._targets).sum(1).mean()
        return float(cosine), identification(found.cpu().numpy(), self._names)


def report(trainer: Trainer, held_out: HeldOut, options: argparse.Namespace, *, last: bool = False) -> None:
    """Measure, write a line of the curve, and save."""
    trainer.settle(40 if last else 6)
    cosine, tpir = held_out.measure(trainer.average, trainer.side)
    checkpoint, curve = work_dir() / f"{options.name}.pt", work_dir() / f"{options.name}.csv"
    state = trainer.state()
    torch.save(state, checkpoint.with_suffix(".tmp"))
    checkpoint.with_suffix(".tmp").rename(checkpoint)
    direction, kin, similar, inner = trainer.running.tolist()
    line = (
        f"{trainer.seconds:.1f},{trainer.steps},{state['samples']},{1 - direction:.4f},{kin:.4f},"
        f"{similar:.5f},{inner:.4f},{cosine:.4f},{tpir:.4f}"
    )
    with curve.open("a") as file:
        file.write(f"{line}\n")
    if options.out:
        torch.save({k: state[k] for k in ("average", "steps", "seconds", "samples")}, options.out / "average.pt")
        shutil.copy(curve, options.out / curve.name)
        if last:
            torch.save({"model": state["model"]}, options.out / "student.pt")
    tqdm.write(f"seconds,steps,samples,cosine,kin,similar,inner,held out cosine,tpir: {line}")
    if not math.isfinite(direction):
        raise SystemExit("the loss is not finite")


def side_at(progress: float, options: argparse.Namespace, *, on_gpu: bool) -> int:
    """How large crops are at this share of the time."""
    return options.side or (SIDE_PX if on_gpu else next(px for until, px in CPU_SIDES if progress < until))


def learn_apart(trainer: Trainer, budget: float, options: argparse.Namespace) -> None:
    """Let the stages learn apart for their share of the time. Nothing is saved until they are joined."""
    apart, clock = trainer.begin_apart(), CLOCKS[options.clock]
    last = clock()
    while (progress := trainer.seconds / budget) < options.apart:
        side = side_at(progress, options, on_gpu=trainer.device.type == "cuda")
        if side != trainer.side:
            trainer.set_side(side)
        trainer.plan(progress)
        trainer.step_apart(apart)
        trainer.steps += 1
        now = clock()
        trainer.seconds, last = trainer.seconds + now - last, now
    trainer.join(apart)


def train(options: argparse.Namespace) -> None:
    """Train until the seconds are spent."""
    began = time.monotonic()
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    trainer = Trainer(options)
    on_gpu = trainer.device.type == "cuda"
    checkpoint = work_dir() / f"{options.name}.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
    held_out = HeldOut(trainer)
    for _ in range(min(options.ring * REUSED // options.batch, 48 if on_gpu else 8)):
        trainer.stream.make()
    tqdm.write(f"the first faces after {time.monotonic() - began:.1f} s")

    if options.apart > trainer.seconds / options.seconds:
        learn_apart(trainer, options.seconds, options)

    # Everything that comes later is tried at once: a failure should be cheap.
    trainer.plan(trainer.seconds / options.seconds)
    trainer.rehearse(3)
    report(trainer, held_out, options)
    trainer.load(checkpoint)
    step = trainer.recorded()
    tqdm.write(f"ready after {time.monotonic() - began:.1f} s")

    budget = options.seconds - (time.monotonic() - began if options.by else 0)
    every = MEASURED_EVERY * (1 if on_gpu else 24)
    bar = tqdm(total=round(budget), initial=round(trainer.seconds), unit="s", mininterval=10)
    clock = CLOCKS[options.clock]
    last, measured_at = clock(), trainer.seconds
    while (progress := trainer.seconds / budget) < 1 and not 0 < options.steps <= trainer.steps:
        side = side_at(progress, options, on_gpu=on_gpu)
        if side != trainer.side:
            trainer.set_side(side)
        trainer.plan(progress)
        step()
        if on_gpu:
            torch.cuda.synchronize()
        trainer.steps += 1
        now = clock()
        trainer.seconds, last = trainer.seconds + now - last, now
        bar.update(round(trainer.seconds) - bar.n)
        if trainer.seconds - measured_at >= every:
            measured_at = trainer.seconds
            report(trainer, held_out, options)
    report(trainer, held_out, options, last=True)


def main() -> None:
    """Read the options and train."""
    on_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5400)
    parser.add_argument(
        "--by", action="store_true", help="the seconds count from the program's start, start-up included"
    )
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="what the seconds are of (processor: on a CPU)")
    parser.add_argument("--apart", type=float, default=0.0, help="the share of the time in which stages learn apart")
    parser.add_argument("--batch", type=int, default=512 if on_gpu else 64)
    parser.add_argument("--ring", type=int, default=131072 if on_gpu else 8192, help="virtual faces kept")
    parser.add_argument("--rate", type=float, default=PEAK_RATE)
    parser.add_argument("--muon", type=float, default=2.0, help="Muon's rate over AdamW's; 0 trains all by AdamW")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if on_gpu else "cpu")
    parser.add_argument("--out", type=Path, help="a folder for the weights and the curve alone")
    parser.add_argument("--name", default="embedder", help="of the checkpoint, and what is resumed")
    parser.add_argument("--steps", type=int, default=0, help="stop after so many (for trials)")
    parser.add_argument("--side", type=int, default=0, help="crops of this side all along (for trials)")
    parser.add_argument("--people", type=int, default=0, help="learn from so many pictures only (for trials)")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
