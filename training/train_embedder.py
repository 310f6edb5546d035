"""Distil the embedder: `python train_embedder.py --minutes 90`. Run it again to go on where it stopped.

The schedule follows the clock, not the steps: on a shared machine the budget is what one knows. Crops grow from 64 to
112 px, since small ones teach most of it at a third of the cost. On a CPU each core has a process with one thread, and
they average their gradients once a step: threads that wait for each other in every operation lose most of their time
as soon as somebody else uses a core.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.distributed as dist
from align import TEACHER_PX
from degrade import degraded, jittered
from embedder_network import MEAN, SCALE, NanoEmbedder
from evaluate_embedder import torch_embedder, verification_summary
from people import work_dir
from teachers import FEATURE_CHANNELS, FEATURE_STEPS
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

SIDES = ((0.36, 64), (0.67, 80), (0.85, 96), (1.01, 112))  # until this share of the time, this side
PEAK_RATE = 3e-3
WARM_UP = 0.03
EMA_DECAY = 0.999
NEIGHBOUR_TEMPERATURE = 0.06


class VirtualFaces(IterableDataset):
    """Endless batches (crops uint8, targets, features int8) drawn from whatever shards exist."""

    def __init__(self, folder: Path, batch: int, seed: list[int], side: Tensor) -> None:
        self._folder, self._batch, self._seed, self._side = folder, batch, seed, side

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        cv2.setNumThreads(1)
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([*self._seed, worker.id if worker else 0])
        shards: dict[Path, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        for number in range(1_000_000_000):
            if number % 200 == 0:  # shards may still be arriving
                for path in sorted(self._folder.glob("?????.faces.npy")):
                    if path not in shards:
                        stem = str(path).removesuffix(".faces.npy")
                        shards[path] = tuple(
                            np.load(f"{stem}.{part}.npy", mmap_mode="r") for part in ("faces", "targets", "features")
                        )
                stock = list(shards.values())
            side = int(self._side)
            crops = np.empty((self._batch, side, side, 3), np.uint8)
            targets, features = [], []
            for i in range(self._batch):
                faces, answers, inner = stock[rng.integers(len(stock))]
                row = rng.integers(len(faces))
                crops[i] = degraded(rng, jittered(rng, faces[row], TEACHER_PX, side))
                targets.append(answers[row])
                features.append(inner[row])
            yield torch.from_numpy(crops), torch.from_numpy(np.stack(targets)), torch.from_numpy(np.stack(features))


class Loss(nn.Module):
    """How far the student is from its teacher: direction, neighbours in the batch, and inner maps."""

    def __init__(self) -> None:
        super().__init__()
        half = FEATURE_CHANNELS // 2
        self.read_fine, self.read_coarse = nn.Conv2d(128, half, 1), nn.Conv2d(192, half, 1)

    def forward(
        self, out: tuple[Tensor, Tensor, Tensor], targets: Tensor, features: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        student = functional.normalize(out[0].float())
        direction = 1 - (student * targets).sum(1).mean()
        kin = targets @ targets.T / NEIGHBOUR_TEMPERATURE
        neighbours = (
            functional.kl_div(
                functional.log_softmax(student @ targets.T / NEIGHBOUR_TEMPERATURE, 1),
                functional.log_softmax(kin, 1),
                reduction="batchmean",
                log_target=True,
            )
            + 4 * ((student @ student.T - targets @ targets.T) ** 2).mean()
        )
        cells = out[2].shape[2:]
        wanted = functional.interpolate(features, cells, mode="bilinear")
        fine = self.read_fine(functional.avg_pool2d(out[1], 2)).float()
        coarse = self.read_coarse(out[2]).float()
        inner = ((torch.cat([fine, coarse], 1) - wanted) ** 2).mean()
        return direction, neighbours, inner


def rate_at(progress: float) -> float:
    """The learning rate: a short rise, then a cosine down to nothing."""
    if progress < WARM_UP:
        return PEAK_RATE * (0.05 + 0.95 * progress / WARM_UP)
    return PEAK_RATE * (0.5 + 0.5 * math.cos(math.pi * min(1.0, (progress - WARM_UP) / (1 - WARM_UP)))) + 1e-6


def follow(average: nn.Module, model: nn.Module, step: int) -> None:
    """Move the running average of the weights a little towards the weights."""
    keep = min(EMA_DECAY, (1 + step) / (20 + step))
    with torch.no_grad():
        for a, b in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
            if a.dtype.is_floating_point:
                a.lerp_(b, 1 - keep)
            else:
                a.copy_(b)


def agree(parameters: list[nn.Parameter], seconds: float) -> float:
    """Average the gradients over all processes and take the first one's clock; alone, nothing changes."""
    if not dist.is_initialized():
        return seconds
    clock = torch.tensor([seconds if dist.get_rank() == 0 else 0.0])
    flat = torch.cat([p.grad.flatten() for p in parameters] + [clock])
    dist.all_reduce(flat)
    at = 0
    for p in parameters:
        p.grad.copy_(flat[at : at + p.numel()].view_as(p)).div_(dist.get_world_size())
        at += p.numel()
    return float(flat[-1])


def train(rank: int, options: argparse.Namespace) -> None:
    """One process's part of the training; the first one keeps the checkpoint, the clock and the bar."""
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    if options.processes > 1:
        dist.init_process_group(
            "gloo", init_method=f"file://{options.meeting}", rank=rank, world_size=options.processes
        )
    device = torch.device(options.device)
    model = NanoEmbedder().to(device, memory_format=torch.channels_last)
    loss_of = Loss().to(device, memory_format=torch.channels_last)
    average = copy.deepcopy(model).eval()
    learnt = [*model.parameters(), *loss_of.parameters()]
    groups = [
        {"params": [p for p in learnt if p.ndim > 1], "weight_decay": 0.03},
        {"params": [p for p in learnt if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=PEAK_RATE, fused=True)
    checkpoint = work_dir() / f"{options.name}.pt"
    step, seconds = 0, 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device)
        for part, name in ((model, "model"), (loss_of, "loss"), (average, "average"), (optimiser, "optimiser")):
            part.load_state_dict(saved[name])
        step, seconds = saved["step"], saved["seconds"]
    began = step

    side = torch.tensor(SIDES[0][1]).share_memory_()
    batch = options.batch // options.processes
    dataset = VirtualFaces(work_dir() / "virtual_faces", batch, [options.seed, step, rank], side)
    batches = iter(DataLoader(dataset, batch_size=None, num_workers=options.workers))
    bar = tqdm(total=round(options.minutes * 60), initial=round(seconds), unit="s", mininterval=10, disable=rank > 0)
    last, saved_at, measured_at = time.monotonic(), seconds, seconds
    running = np.zeros(3)
    while (progress := seconds / (options.minutes * 60)) < 1:
        side.fill_(next(px for until, px in SIDES if progress < until))
        for group in optimiser.param_groups:
            group["lr"] = rate_at(progress)
        crops, targets, features = next(batches)
        x = (
            crops.to(device)
            .permute(0, 3, 1, 2)
            .to(torch.float32)
            .sub_(MEAN)
            .mul_(SCALE)
            .contiguous(memory_format=torch.channels_last)
        )
        with torch.autocast(device.type, torch.bfloat16):
            out = model.embed_with_features(x)
            direction, neighbours, inner = loss_of(
                out, targets.to(device).float(), features.to(device).float() / FEATURE_STEPS
            )
        loss = 2 * direction + 0.3 * neighbours + max(0.1, 1 - 1.3 * progress) * inner
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        now = time.monotonic()
        seconds, spent, last = agree(learnt, seconds + now - last), now - last, now
        torch.nn.utils.clip_grad_norm_(learnt, 5.0)
        optimiser.step()
        step += 1
        if rank > 0:
            continue
        follow(average, model, step)
        parts = np.array([direction.item(), neighbours.item(), inner.item()])
        running += max(0.02, 1 / (step - began)) * (parts - running)
        bar.update(round(seconds) - bar.n)
        shown = f"step {step} {crops.shape[1]}px cos {1 - running[0]:.3f} kin {running[1]:.3f} inner {running[2]:.3f}"
        bar.set_postfix_str(f"{shown} {options.batch / spent:.0f}/s", refresh=False)
        finished = seconds >= options.minutes * 60
        if seconds - saved_at > 120 or finished:
            saved_at = seconds
            parts_of = {"model": model, "loss": loss_of, "average": average, "optimiser": optimiser}
            state = {name: part.state_dict() for name, part in parts_of.items()}
            torch.save(
                {**state, "step": step, "seconds": seconds, "samples": step * options.batch},
                checkpoint.with_suffix(".tmp"),
            )
            checkpoint.with_suffix(".tmp").rename(checkpoint)
        if seconds - measured_at > 480 or finished:
            measured_at = seconds
            reached = verification_summary(torch_embedder(average, int(side)))
            tqdm.write(f"{seconds / 60:.1f} min, {step * options.batch} samples: {reached}")


def main() -> None:
    """Train until the minutes are spent, in as many processes as asked."""
    on_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--batch", type=int, default=64, help="over all processes")
    parser.add_argument("--processes", type=int, default=1 if on_gpu else os.cpu_count())
    parser.add_argument("--workers", type=int, default=8 if on_gpu else 0, help="loaders a process; 0 loads in line")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if on_gpu else "cpu")
    parser.add_argument("--name", default="embedder", help="of the checkpoint, and what is resumed")
    options = parser.parse_args()
    if options.processes == 1:
        train(0, options)
        return
    with tempfile.TemporaryDirectory() as folder:
        options.meeting = f"{folder}/meeting"
        torch.multiprocessing.spawn(train, (options,), options.processes)


if __name__ == "__main__":
    main()
