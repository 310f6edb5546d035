"""Make shards of virtual faces with the teacher's answers: `python synthesise_faces.py --shards 40`.

A shard is 2,048 master crops, mixed and cut from real ones, each with the teacher's embedding (mean of the crop and its
mirror image) and its inner feature maps. Nobody's name is needed: the target is what the teacher says of the mixture.
Each shard is seeded by its number and appears whole or not at all, so the program may be stopped and run again, and the
student may learn while it runs.
"""

from __future__ import annotations

import argparse
import multiprocessing
from pathlib import Path

import cv2
import numpy as np
from align import MASTER_PX, TEACHER_PX
from numpy.typing import NDArray
from people import work_dir
from teachers import FEATURE_STEPS, EmbeddingTeacher
from tqdm import tqdm

SHARD = 2048
BATCH = 32
Image = NDArray[np.uint8]
_GRID = np.stack(np.meshgrid(np.arange(MASTER_PX), np.arange(MASTER_PX)), -1).astype(np.float32)


def soft_mask(rng: np.random.Generator) -> NDArray[np.float32]:
    """float32 [side, side, 1] in 0..1: a half plane, an inner face or a blob, with a soft edge."""
    kind = rng.integers(3)
    if kind == 0:
        angle = rng.uniform(0, 2 * np.pi)
        through = MASTER_PX / 2 + rng.normal(0, 14, 2)
        distance = (_GRID - through) @ np.array([np.cos(angle), np.sin(angle)])
    elif kind == 1:
        axes = MASTER_PX * rng.uniform((0.2, 0.25), (0.38, 0.45))
        centre = MASTER_PX * np.array([0.5, 0.6]) + rng.normal(0, 5, 2)
        distance = (1 - np.linalg.norm((_GRID - centre) / axes, axis=2)) * axes.mean()
    else:
        coarse = rng.normal(0, 1, (5, 5)).astype(np.float32)
        distance = cv2.resize(coarse, (MASTER_PX, MASTER_PX), interpolation=cv2.INTER_CUBIC) * 25
    return (1 / (1 + np.exp(-np.clip(distance / rng.uniform(1.5, 6), -30, 30)))).astype(np.float32)[..., None]


def mix(rng: np.random.Generator, pool: Image) -> NDArray[np.float32]:
    """float32 [side, side, 3]: one face, two blended, two or three cut together, or one half mirrored."""

    def face() -> NDArray[np.float32]:
        one = pool[rng.integers(len(pool))].astype(np.float32)
        return one[:, ::-1] if rng.random() < 0.5 else one

    kind = rng.choice(5, p=[0.28, 0.22, 0.32, 0.11, 0.07])
    if kind == 0:
        return face()
    if kind == 1:
        share = rng.uniform(0.3, 0.7)
        return share * face() + (1 - share) * face()
    if kind == 4:
        one = face()
        mask = np.clip((_GRID[..., :1] - MASTER_PX / 2) / 6 + 0.5, 0, 1)
        return mask * one + (1 - mask) * one[:, ::-1]
    whole = face()
    for _ in range(kind - 1):
        mask = soft_mask(rng)
        whole = mask * whole + (1 - mask) * face()
    return whole


def bend(rng: np.random.Generator, face: NDArray[np.float32]) -> NDArray[np.float32]:
    """The face under a smooth random displacement of a few pixels: another shape of head."""
    coarse = rng.normal(0, rng.uniform(1, 4), (4, 4, 2)).astype(np.float32)
    field = _GRID + cv2.resize(coarse, (MASTER_PX, MASTER_PX), interpolation=cv2.INTER_CUBIC)
    return cv2.remap(face, field, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def relight(rng: np.random.Generator, face: NDArray[np.float32]) -> NDArray[np.float32]:
    """The face under uneven light and another white balance."""
    coarse = np.exp(rng.normal(0, 0.3, (3, 3))).astype(np.float32)
    light = cv2.resize(coarse, (MASTER_PX, MASTER_PX), interpolation=cv2.INTER_CUBIC)[..., None]
    return face * np.clip(light, 0.3, 2) * np.exp(rng.normal(0, 0.1, 3)).astype(np.float32)


def virtual_face(rng: np.random.Generator, pool: Image) -> Image:
    """uint8 [side, side, 3], BGR: a face of nobody."""
    face = mix(rng, pool)
    if rng.random() < 0.5:
        face = bend(rng, face)
    if rng.random() < 0.4:
        face = relight(rng, face)
    return np.clip(face, 0, 255).astype(np.uint8)


def teacher_crop(masters: Image) -> Image:
    """The field that the teacher sees: the middle of each master."""
    edge = (MASTER_PX - TEACHER_PX) // 2
    return masters[:, edge:-edge, edge:-edge]


def make_shard(job: tuple[int, Path]) -> None:
    """Make one shard, (its number, the folder), unless it is there."""
    number, target = job
    done = target / f"{number:05d}.faces.npy"
    if done.exists():
        return
    cv2.setNumThreads(1)
    rng = np.random.default_rng([2026, number])
    with np.load(work_dir() / "faces_learn.npz") as pool_file:
        pool = pool_file["faces"]
    teacher = EmbeddingTeacher(threads=1, with_features=True)
    masters = np.stack([virtual_face(rng, pool) for _ in range(SHARD)])
    targets, features = [], []
    for start in range(0, SHARD, BATCH):
        crops = teacher_crop(masters[start : start + BATCH])
        straight, inner = teacher.embed(crops)
        mirrored, _ = teacher.embed(crops[:, :, ::-1])
        both = straight + mirrored
        targets.append(both / np.linalg.norm(both, axis=1, keepdims=True))
        features.append(inner)
    inner = np.concatenate(features)
    scale_path = target / "scale.npy"
    if not scale_path.exists():  # the first shard to end says what is normal for each channel
        np.save(target / f"{number}.tmp.npy", np.stack([inner.mean((0, 2, 3)), inner.std((0, 2, 3)) + 1e-3]))
        (target / f"{number}.tmp.npy").rename(scale_path)
    mean, spread = np.load(scale_path)[..., None, None]
    np.save(target / f"{number:05d}.targets.npy", np.concatenate(targets).astype(np.float16))
    np.save(
        target / f"{number:05d}.features.npy",
        np.clip(np.round((inner - mean) / spread * FEATURE_STEPS), -127, 127).astype(np.int8),
    )
    np.save(target / f"{number:05d}.tmp.npy", masters)
    (target / f"{number:05d}.tmp.npy").rename(done)


def main() -> None:
    """Make the shards that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=40)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    target = work_dir() / "virtual_faces"
    target.mkdir(exist_ok=True)
    jobs = [(number, target) for number in range(options.shards)]
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for _ in tqdm(pool.imap_unordered(make_shard, jobs), total=len(jobs), desc="shards", unit="shard"):
            pass


if __name__ == "__main__":
    main()
