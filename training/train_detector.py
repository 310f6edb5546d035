"""Train the detector: `python train_detector.py --minutes 60`. Run it again to go on where it stopped.

Other processes compose scenes and say where the faces are; this one sees each a few times, as a poorer picture.
`--stop-after` ends a part of the training early, for a machine that is shared. The curve goes to NAME.csv.

`--start CHECKPOINT --name NAME --rate 1e-3` begins from another training's averaged weights instead: so a finished
detector learns from what it took for faces (`prepare_mistaken.py`).
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from compose_scenes import Scenes, seen_badly, still_seen
from detector_network import HEAD_VALUES, NanoDetector
from labels import Labels, cell_targets
from muon import Muon
from people import work_dir
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from tqdm import tqdm

PEAK_RATE = 3e-3
WARM_UP = 0.03
SIDE_PX = 256
KEPT = 512  # scenes that may be seen again
CERTAIN = 0.3  # cells whose score should be less teach no box

Batch = tuple[np.ndarray, np.ndarray]


class Composed(IterableDataset[Batch]):
    """Batches of scenes uint8 [n, side, side, 3] and of what their cells should say, float32 [n, cells, 16]."""

    def __init__(self, scenes: Scenes, *, batch: int, new: int, seed: int, step: int) -> None:
        self._scenes, self._batch, self._new, self._seed = scenes, batch, new, (seed, step)

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)
        worker = get_worker_info()
        rng = np.random.default_rng([*self._seed, worker.id if worker is not None else 0])
        kept: deque[tuple[np.ndarray, Labels]] = deque(maxlen=KEPT)  # composing costs more than anything else
        while True:
            kept.extend(self._scenes.scene(rng, SIDE_PX) for _ in range(self._new if kept else self._batch))
            pairs = [_seen(rng, *kept[i]) for i in rng.integers(0, len(kept), self._batch)]
            yield np.stack([scene for scene, _ in pairs]), np.stack([target for _, target in pairs])


def _seen(rng: np.random.Generator, scene: np.ndarray, labels: Labels) -> Batch:
    if rng.random() < 0.5:
        scene, labels = _mirrored(scene, labels)
    poorer = seen_badly(rng, scene)
    return poorer, cell_targets(still_seen(poorer, labels), SIDE_PX)


def _mirrored(scene: np.ndarray, labels: Labels) -> tuple[np.ndarray, Labels]:
    """The same from the other side."""
    return np.ascontiguousarray(scene[:, ::-1]), labels.moved(np.diag([-1, 1]), np.array([scene.shape[1], 0]))


def losses(student: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How far score, box and landmarks are from what they should be; box and landmarks in widths of the face."""
    score = torch.sigmoid(student[..., 0])
    target, counts = wanted[..., 0], wanted[..., 15]
    surprise = functional.binary_cross_entropy_with_logits(student[..., 0], target, reduction="none")
    weight = target * (target > CERTAIN) * counts
    faces = weight.sum() + 1
    score_loss = (counts * (score - target).abs().detach().pow(1.5) * surprise).sum() / faces
    at = weight > 0
    mine, theirs, w = student[at], wanted[at], weight[at, None]
    size = theirs[:, 3:5].exp().mean(1, keepdim=True)
    centre = functional.smooth_l1_loss(mine[:, 1:3] / size, theirs[:, 1:3] / size, beta=0.02, reduction="none")
    extent = functional.smooth_l1_loss(mine[:, 3:5], theirs[:, 3:5], beta=0.02, reduction="none")
    points = functional.smooth_l1_loss(mine[:, 5:] / size, theirs[:, 5:15] / size, beta=0.02, reduction="none")
    return score_loss, (w * (centre + extent)).sum() / faces, (w * points).sum() / faces


def mean_landmark_error(student: Tensor, wanted: Tensor) -> float:
    """How far landmarks lie from where they should in the middle of faces, in widths of the face."""
    at = (wanted[..., 0] > 0.6) & (wanted[..., 15] > 0)
    mine, theirs = student[at], wanted[at]
    off = (mine[:, 5:] - theirs[:, 5:15]).reshape(-1, 5, 2).norm(dim=2).mean(1) / theirs[:, 3].exp()
    return float(off.mean()) if len(off) else 0.0


def rate_at(progress: float, peak: float) -> float:
    """The learning rate: a short rise, then a cosine down to nothing."""
    if progress < WARM_UP:
        return peak * (0.05 + 0.95 * progress / WARM_UP)
    return peak * (0.5 + 0.5 * math.cos(math.pi * min(1.0, (progress - WARM_UP) / (1 - WARM_UP)))) + 1e-6


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, step: int) -> None:
    """Move the averaged weights and statistics towards the model's; young averages follow faster."""
    share = 1 - min(0.998, (1 + step) / (10 + step))
    for mine, theirs in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mine.is_floating_point():
            mine.lerp_(theirs, share)
        else:
            mine.copy_(theirs)


def main() -> None:
    """Train until the minutes are spent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="of the whole training: the schedule fits them")
    parser.add_argument("--stop-after", type=float, default=math.inf, help="minutes of this run")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--new", type=int, default=12, help="scenes composed for each batch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--composers", type=int, default=1, help="processes that compose scenes")
    parser.add_argument("--muon", type=float, default=2.0, help="Muon's rate over AdamW's")
    parser.add_argument("--rate", type=float, default=PEAK_RATE, help="the highest, of AdamW")
    parser.add_argument("--start", type=Path, help="a checkpoint whose averaged weights are the first ones")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--name", default="detector", help="of the checkpoint, and what is resumed")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    device = torch.device(options.device)
    model = NanoDetector().to(device, memory_format=torch.channels_last)
    if options.start:
        model.load_state_dict(torch.load(options.start, map_location=device)["average"])
    average = copy.deepcopy(model).eval()
    # The last layers answer in several units: no matrix to be turned.
    is_matrix = {id(p): p.ndim > 1 and p.shape[0] != HEAD_VALUES for p in model.parameters()}
    matrices = [p for p in model.parameters() if is_matrix[id(p)]]
    others = [p for p in model.parameters() if not is_matrix[id(p)]]
    rate = torch.zeros(())
    muon = Muon(matrices, rate, options.muon, on_gpu=device.type == "cuda")
    adamw = torch.optim.AdamW([{"params": others, "weight_decay": 0.0}], lr=PEAK_RATE, fused=True)
    checkpoint = work_dir() / f"{options.name}.pt"
    parts: dict[str, nn.Module | torch.optim.Optimizer]
    parts = {"model": model, "average": average, "adamw": adamw, "muon": muon}
    step, seconds = 0, 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device)
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        step, seconds = saved["step"], saved["seconds"]
        muon.param_groups[0]["lr"] = rate
    began = step
    composed = Composed(Scenes(), batch=options.batch, new=options.new, seed=options.seed, step=step)
    batches = iter(DataLoader(composed, batch_size=None, num_workers=options.composers, prefetch_factor=4))
    until = min(options.minutes * 60, seconds + options.stop_after * 60)
    bar = tqdm(total=round(options.minutes * 60), initial=round(seconds), unit="s", mininterval=10)
    last, saved_at, running = time.monotonic(), seconds, np.zeros(4)
    while seconds < until:
        rate.fill_(rate_at(seconds / (options.minutes * 60), options.rate))
        adamw.param_groups[0]["lr"] = float(rate)
        poorer, wanted = (each.to(device) for each in next(batches))
        x = poorer.permute(0, 3, 1, 2).to(torch.float32).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            out = model(x)
        student = torch.cat(out, 1).float()
        score, box, points = losses(student, wanted)
        model.zero_grad(set_to_none=True)
        (score + box + 2 * points).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        muon.step()
        adamw.step()
        step += 1
        follow(average, model, step)
        now = time.monotonic()
        seconds, spent, last = seconds + now - last, now - last, now
        values = np.array([score.item(), box.item(), points.item(), mean_landmark_error(student.detach(), wanted)])
        running += max(0.01, 1 / (step - began)) * (values - running)
        bar.update(round(seconds) - bar.n)
        shown = f"step {step} score {running[0]:.3f} box {running[1]:.3f} points {running[2]:.3f}"
        bar.set_postfix_str(f"{shown}, {100 * running[3]:.1f} % off, {options.batch / spent:.0f}/s", refresh=False)
        if seconds - saved_at > 60 or seconds >= until:
            saved_at = seconds
            state = {name: part.state_dict() for name, part in parts.items()}
            torch.save(
                {**state, "step": step, "seconds": seconds, "samples": step * options.batch},
                checkpoint.with_suffix(".tmp"),
            )
            checkpoint.with_suffix(".tmp").rename(checkpoint)
            with checkpoint.with_suffix(".csv").open("a") as curve:
                curve.write(f"{seconds:.0f},{step},{step * options.batch},{','.join(f'{v:.4f}' for v in running)}\n")


if __name__ == "__main__":
    main()
