"""Distil the detector: `python train_detector.py --minutes 30`. Run it again to go on where it stopped.

Every scene is new: it is composed, the teacher reads it, and the student learns the teacher's map cell for cell from a
poorer picture of it. One thread: composing, teaching and learning take turns.
"""

from __future__ import annotations

import argparse
import copy
import math
import time

import cv2
import numpy as np
import torch
from compose_scenes import Scenes, seen_badly
from detector_network import NanoDetector
from people import work_dir
from teachers import DetectionTeacher
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm
from train_embedder import follow

PEAK_RATE = 3e-3
WARM_UP = 0.04
SIDE_PX = 256
CERTAIN = 0.25  # cells where the teacher scores less than this teach no box


def teach(teacher: DetectionTeacher, scenes: np.ndarray) -> Tensor:
    """float32 [n, cells, 15]: the teacher's score (one for its two), box and landmarks of every cell."""
    maps = torch.from_numpy(np.concatenate(teacher.maps(scenes), 1))
    return torch.cat([(maps[..., :1].clamp(0, 1) * maps[..., 1:2].clamp(0, 1)).sqrt(), maps[..., 2:]], 2)


def losses(student: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How far score, box and landmarks are from the teacher's; box and landmarks in widths of the face."""
    score = torch.sigmoid(student[..., 0])
    target = wanted[..., 0]
    surprise = functional.binary_cross_entropy_with_logits(student[..., 0], target, reduction="none")
    weight = target * (target > CERTAIN)
    faces = weight.sum() + 1
    score_loss = ((score - target).abs().detach().pow(1.5) * surprise).sum() / faces
    at = weight > 0
    mine, theirs, w = student[at], wanted[at], weight[at, None]
    size = theirs[:, 3:5].exp().mean(1, keepdim=True)
    centre = functional.smooth_l1_loss(mine[:, 1:3] / size, theirs[:, 1:3] / size, beta=0.02, reduction="none")
    extent = functional.smooth_l1_loss(mine[:, 3:5], theirs[:, 3:5], beta=0.02, reduction="none")
    points = functional.smooth_l1_loss(mine[:, 5:] / size, theirs[:, 5:] / size, beta=0.02, reduction="none")
    return score_loss, (w * (centre + extent)).sum() / faces, (w * points).sum() / faces


def mean_landmark_error(student: Tensor, wanted: Tensor) -> float:
    """How far landmarks lie from the teacher's where it is sure, in widths of the face."""
    at = wanted[..., 0] > 0.6
    mine, theirs = student[at], wanted[at]
    off = (mine[:, 5:] - theirs[:, 5:]).reshape(-1, 5, 2).norm(dim=2).mean(1) / theirs[:, 3].exp()
    return float(off.mean()) if len(off) else 0.0


def rate_at(progress: float) -> float:
    """The learning rate: a short rise, then a cosine down to nothing."""
    if progress < WARM_UP:
        return PEAK_RATE * (0.05 + 0.95 * progress / WARM_UP)
    return PEAK_RATE * (0.5 + 0.5 * math.cos(math.pi * min(1.0, (progress - WARM_UP) / (1 - WARM_UP)))) + 1e-6


def main() -> None:
    """Train until the minutes are spent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--name", default="detector", help="of the checkpoint, and what is resumed")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    device = torch.device(options.device)
    model = NanoDetector().to(device, memory_format=torch.channels_last)
    average = copy.deepcopy(model).eval()
    groups: list[dict[str, object]] = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.02},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=PEAK_RATE, fused=True)
    checkpoint = work_dir() / f"{options.name}.pt"
    parts: dict[str, nn.Module | torch.optim.Optimizer] = {"model": model, "average": average, "optimiser": optimiser}
    step, seconds = 0, 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device)
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        step, seconds = saved["step"], saved["seconds"]
    began = step
    rng = np.random.default_rng([options.seed, step])
    scenes, teacher = Scenes(), DetectionTeacher(threads=options.threads)
    bar = tqdm(total=round(options.minutes * 60), initial=round(seconds), unit="s", mininterval=10)
    last, saved_at, running = time.monotonic(), seconds, np.zeros(4)
    while (progress := seconds / (options.minutes * 60)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate_at(progress)
        batch = np.stack([scenes.scene(rng, SIDE_PX) for _ in range(options.batch)])
        wanted = teach(teacher, batch).to(device)
        poorer = torch.from_numpy(np.stack([seen_badly(rng, scene) for scene in batch]))
        x = poorer.to(device).permute(0, 3, 1, 2).to(torch.float32).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            out = model(x)
        student = torch.cat(out, 1).float()
        score, box, points = losses(student, wanted)
        optimiser.zero_grad(set_to_none=True)
        (score + box + 2 * points).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        step += 1
        follow(average, model, step)
        now = time.monotonic()
        seconds, spent, last = seconds + now - last, now - last, now
        values = np.array([score.item(), box.item(), points.item(), mean_landmark_error(student.detach(), wanted)])
        running += max(0.01, 1 / (step - began)) * (values - running)
        bar.update(round(seconds) - bar.n)
        shown = f"step {step} score {running[0]:.3f} box {running[1]:.3f} points {running[2]:.3f}"
        bar.set_postfix_str(f"{shown}, {100 * running[3]:.1f} % off, {options.batch / spent:.0f}/s", refresh=False)
        if seconds - saved_at > 60 or seconds >= options.minutes * 60:
            saved_at = seconds
            state = {name: part.state_dict() for name, part in parts.items()}
            torch.save(
                {**state, "step": step, "seconds": seconds, "samples": step * options.batch},
                checkpoint.with_suffix(".tmp"),
            )
            checkpoint.with_suffix(".tmp").rename(checkpoint)


if __name__ == "__main__":
    main()
