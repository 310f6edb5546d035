"""Distil the embedder: `python train_embedder.py --seconds 5400`. Run it again to go on where it stopped.

The schedule follows the clock, not the steps: on a machine that is lent or shared, time is what one knows. Measuring,
saving and loading are tried in the first seconds. Curves go to NAME.csv.

With --apart SHARE the stages learn apart for that share of the time (`stages.py`), and together afterwards.
With --virtual FOLDER the faces and their teacher's answers come from disk (`prepare_virtual.py`).
"""

from __future__ import annotations

import argparse
import math
import shutil
import time
from pathlib import Path

import torch
from align import MASTER_PX, TEACHER_PX
from embedder_network import MEAN, SCALE, SIDE_PX
from embedder_trainer import REUSED, Trainer
from evaluate_embedder import identification
from face_store import load_faces
from people import work_dir
from torch import nn
from torch.nn import functional
from tqdm import tqdm

PEAK_RATE = 3e-3
CPU_SIDES = ((0.36, 64), (0.67, 80), (0.85, 96), (1.01, SIDE_PX))  # until this share of the time, this side
CLOCKS = {"wall": time.monotonic, "processor": time.process_time}
MEASURED_EVERY = 20.0  # seconds on a GPU; 24 times that on a CPU


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
    trainer.show_joined()
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


class Clock:
    """Counts seconds of training, and says when to measure."""

    def __init__(self, options: argparse.Namespace, trainer: Trainer, every: float) -> None:
        self._now, self._trainer, self._every = CLOCKS[options.clock], trainer, every
        self._last, self._measured_at = self._now(), trainer.seconds

    def tick(self) -> None:
        """A step was taken."""
        now = self._now()
        self._trainer.steps += 1
        self._trainer.seconds, self._last = self._trainer.seconds + now - self._last, now

    def is_due(self) -> bool:
        """Whether to measure now."""
        due = self._trainer.seconds - self._measured_at >= self._every
        if due:
            self._measured_at = self._trainer.seconds
        return due


def learn_apart(trainer: Trainer, held_out: HeldOut, budget: float, options: argparse.Namespace) -> bool:
    """Let the stages learn apart for their share of the time, and join them; False where --steps ended it before."""
    on_gpu = trainer.device.type == "cuda"
    if trainer.apart is None:
        trainer.begin_apart()
    clock = Clock(options, trainer, measured_every(options))
    while (progress := trainer.seconds / budget) < options.apart:
        if 0 < options.steps <= trainer.steps:
            report(trainer, held_out, options)
            return False
        side = side_at(progress, options, on_gpu=on_gpu)
        if side != trainer.side:
            trainer.set_side(side)
        trainer.plan(progress)
        trainer.step_apart()
        if on_gpu:
            torch.cuda.synchronize()
        clock.tick()
        if clock.is_due():
            report(trainer, held_out, options)
    trainer.join()
    return True


def measured_every(options: argparse.Namespace) -> float:
    """Seconds of training from one measurement to the next."""
    return options.every or MEASURED_EVERY * (1 if options.device == "cuda" else 24)


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
    if not options.virtual:
        for _ in range(min(options.ring * REUSED // options.batch, 48 if on_gpu else 8)):
            trainer.stream.make()
    tqdm.write(f"the first faces after {time.monotonic() - began:.1f} s")

    is_apart = trainer.apart is not None or options.apart > trainer.seconds / options.seconds
    if is_apart and not learn_apart(trainer, held_out, options.seconds, options):
        return

    # Everything that comes later is tried at once: a failure should be cheap.
    trainer.plan(trainer.seconds / options.seconds)
    trainer.rehearse(3)
    report(trainer, held_out, options)
    trainer.load(checkpoint)
    step = trainer.recorded()
    tqdm.write(f"ready after {time.monotonic() - began:.1f} s")

    budget = options.seconds - (time.monotonic() - began if options.by else 0)
    bar = tqdm(total=round(budget), initial=round(trainer.seconds), unit="s", mininterval=10)
    clock = Clock(options, trainer, measured_every(options))
    while (progress := trainer.seconds / budget) < 1 and not 0 < options.steps <= trainer.steps:
        side = side_at(progress, options, on_gpu=on_gpu)
        if side != trainer.side:
            trainer.set_side(side)
        trainer.plan(progress)
        step()
        if on_gpu:
            torch.cuda.synchronize()
        clock.tick()
        bar.update(round(trainer.seconds) - bar.n)
        if clock.is_due():
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
    parser.add_argument("--every", type=float, default=0.0, help="seconds between two measurements; 0: as usual")
    parser.add_argument("--virtual", type=Path, help="learn from what prepare_virtual.py wrote into this folder")
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
