"""Measure embedders on the people held out: `python evaluate_embedder.py [student.onnx ...]`, beside the teacher.

Verification is 10-fold accuracy on as many mated as non-mated pairs; TAR is over all held-out pairs; TPIR enrols the
first picture of everybody with two or more and searches the rest, against everybody with a single picture as strangers.
A small watchlist is ten of the enrolled, drawn many times.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from align import MASTER_PX, TEACHER_PX
from face_store import load_faces
from numpy.typing import NDArray
from people import work_dir

SMALL_WATCHLIST, DRAWS = 10, 400

Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # masters [n, 160, 160, 3] to unit vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """What one embedder reaches on the held-out people; shares in 0..1, thresholds are cosines."""

    verification: float
    tar_at_1e2: float
    tar_at_1e3: float
    tpir_at_1: float
    tpir_at_01: float
    threshold_fmr_1e3: float
    threshold_fpir_1: float
    threshold_fpir_01: float
    threshold_small: float
    tpir_small: float
    enrolled: int
    mated_searches: int
    strangers: int

    def __str__(self) -> str:
        shares = [
            f"{100 * s:.1f}"
            for s in (self.verification, self.tar_at_1e2, self.tar_at_1e3, self.tpir_at_1, self.tpir_at_01)
        ]
        return (
            f"verification {shares[0]}, TAR at FMR 1e-2 {shares[1]}, 1e-3 {shares[2]}, "
            f"TPIR at FPIR 1 % {shares[3]}, 0.1 % {shares[4]}, "
            f"with {SMALL_WATCHLIST} enrolled at FPIR 1 % {100 * self.tpir_small:.1f} "
            f"(threshold {self.threshold_small:.3f}) "
            f"(thresholds {self.threshold_fmr_1e3:.3f} {self.threshold_fpir_1:.3f} {self.threshold_fpir_01:.3f}; "
            f"{self.enrolled} enrolled, {self.mated_searches} mated searches, {self.strangers} strangers)"
        )


def fields(masters: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The embedder's crops: the middle 128 of each master, brought to its side."""
    edge = (MASTER_PX - TEACHER_PX) // 2
    inner = masters[:, edge:-edge, edge:-edge]
    if side == TEACHER_PX:
        return np.ascontiguousarray(inner)
    return np.stack([cv2.resize(face, (side, side), interpolation=cv2.INTER_LINEAR) for face in inner])


def measure(vectors: NDArray[np.float32], names: NDArray[np.str_]) -> Accuracy:
    """The accuracy of unit vectors [n, d] of pictures of so named people."""
    upper = np.triu_indices(len(vectors), 1)
    scores = (vectors @ vectors.T)[upper]
    mated = names[upper[0]] == names[upper[1]]
    genuine, impostor = scores[mated], np.sort(scores[~mated])[::-1]
    at_1e2, at_1e3 = impostor[len(impostor) // 100], impostor[len(impostor) // 1000]

    rng = np.random.default_rng(0)
    some = rng.choice(np.flatnonzero(~mated), len(genuine), replace=False)
    pairs = np.concatenate([genuine, scores[some]])
    truth = np.repeat([True, False], len(genuine))
    fold = rng.permutation(len(pairs)) % 10
    right = 0
    for k in range(10):
        learn = np.sort(pairs[fold != k])
        below_mated = np.searchsorted(np.sort(pairs[(fold != k) & truth]), learn)
        below_others = np.searchsorted(np.sort(pairs[(fold != k) & ~truth]), learn)
        threshold = learn[np.argmin(below_mated - below_others)]
        right += int(((pairs >= threshold) == truth)[fold == k].sum())

    people, first, count = np.unique(names, return_index=True, return_counts=True)
    enrolled = first[count >= 2]
    rows = np.arange(len(names))
    searched = np.setdiff1d(rows[np.isin(names, people[count >= 2])], enrolled)
    strangers = first[count == 1]
    gallery = vectors[enrolled]
    top_stranger = np.sort((vectors[strangers] @ gallery.T).max(1))[::-1]
    found = vectors[searched] @ gallery.T
    best = found.argmax(1)
    correct = names[enrolled][best] == names[searched]

    few_strangers, few_mated = [], []
    for _ in range(DRAWS):
        few = rng.choice(enrolled, SMALL_WATCHLIST, replace=False)
        few_strangers.append((vectors[strangers] @ vectors[few].T).max(1))
        mine = searched[np.isin(names[searched], names[few])]
        scores_of = vectors[mine] @ vectors[few].T
        few_mated.append(np.where(names[few][scores_of.argmax(1)] == names[mine], scores_of.max(1), -1))
    threshold_small = float(np.quantile(np.concatenate(few_strangers), 0.99))

    def tpir(threshold: float) -> float:
        return float((correct & (found.max(1) >= threshold)).mean())

    fpir_1, fpir_01 = (
        top_stranger[int(len(top_stranger) * 0.01)] + 1e-6,
        top_stranger[int(len(top_stranger) * 0.001)] + 1e-6,
    )
    return Accuracy(
        verification=right / len(pairs),
        tar_at_1e2=float((genuine > at_1e2).mean()),
        tar_at_1e3=float((genuine > at_1e3).mean()),
        tpir_at_1=tpir(fpir_1),
        tpir_at_01=tpir(fpir_01),
        threshold_fmr_1e3=float(at_1e3),
        threshold_fpir_1=float(fpir_1),
        threshold_fpir_01=float(fpir_01),
        threshold_small=threshold_small,
        tpir_small=float((np.concatenate(few_mated) >= threshold_small).mean()),
        enrolled=len(enrolled),
        mated_searches=len(searched),
        strangers=len(strangers),
    )


def identification(vectors: NDArray[np.float32], names: NDArray[np.str_], *, fpir: float = 0.01) -> float:
    """TPIR at a FPIR: the first picture of everybody with two or more is enrolled, single pictures are strangers."""
    people, first, count = np.unique(names, return_index=True, return_counts=True)
    enrolled, strangers = first[count >= 2], first[count == 1]
    searched = np.setdiff1d(np.flatnonzero(np.isin(names, people[count >= 2])), enrolled)
    nearest_stranger = np.sort((vectors[strangers] @ vectors[enrolled].T).max(1))[::-1]
    found = vectors[searched] @ vectors[enrolled].T
    right = names[enrolled][found.argmax(1)] == names[searched]
    return float((right & (found.max(1) > nearest_stranger[int(len(strangers) * fpir)])).mean())


def held_out() -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
    """The masters of people never trained on, and their names."""
    faces = load_faces(work_dir() / "faces_held_out.npz")
    return faces.crops, faces.names


def verification_summary(embed: Embed) -> Accuracy:
    """One embedder's accuracy on the held-out people."""
    masters, names = held_out()
    return measure(np.concatenate([embed(masters[i : i + 64]) for i in range(0, len(masters), 64)]), names)


def torch_embedder(model: object, side: int) -> Embed:
    """A student in training, as an embedder of masters."""
    import torch
    from embedder_network import MEAN, SCALE

    device = next(model.parameters()).device

    def embed(masters: NDArray[np.uint8]) -> NDArray[np.float32]:
        x = torch.from_numpy(fields(masters, side).transpose(0, 3, 1, 2).astype(np.float32)).sub_(MEAN).mul_(SCALE)
        with torch.inference_mode():
            return torch.nn.functional.normalize(model(x.to(device, memory_format=torch.channels_last))).cpu().numpy()

    return embed


def onnx_embedder(path: str) -> Embed:
    """An exported student, as an embedder of masters."""
    import onnxruntime  # noqa: TID251 (training stands outside the package)
    from embedder_network import MEAN, SCALE, SIDE_PX

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def embed(masters: NDArray[np.uint8]) -> NDArray[np.float32]:
        x = (fields(masters, SIDE_PX).transpose(0, 3, 1, 2).astype(np.float32) - MEAN) * np.float32(SCALE)
        vectors = session.run(None, {session.get_inputs()[0].name: x})[0]
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return embed


def teacher_embedder() -> Embed:
    """The teacher in full precision, as an embedder of masters."""
    from teachers import EmbeddingTeacher

    teacher = EmbeddingTeacher(precision="f32")
    return lambda masters: teacher.embed(fields(masters, TEACHER_PX))


def main() -> None:
    """Measure the teacher and the embedders named."""
    sys.stdout.write(f"teacher: {verification_summary(teacher_embedder())}\n")
    for path in sys.argv[1:]:
        sys.stdout.write(f"{path}: {verification_summary(onnx_embedder(path))}\n")


if __name__ == "__main__":
    main()
