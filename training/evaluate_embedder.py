"""Measure embedders on the people held out: `python evaluate_embedder.py [--json FILE] [student.onnx ...]`.

Verification is 10-fold accuracy on as many mated as non-mated pairs; TAR is over all held-out pairs; TPIR is by
`searches.py`, against watchlists of several lengths, and with spoilt pictures searched at the threshold of clean ones.
The teacher is measured beside them, or with --alone is not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from align import MASTER_PX, TEACHER_PX
from face_store import load_faces
from numpy.typing import NDArray
from people import teacher_path, work_dir
from searches import Found, Rates, at_threshold, found_at, search
from spoilt_probes import KINDS, spoilt

TEACHER = "face_reid_0095.onnx"
FPIRS = (0.01, 0.001)
WATCHLISTS = {10: 400, 243: 1, 500: 40}  # people on it: how many are drawn

Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # masters [n, 160, 160, 3] to unit vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Comparisons of pairs of the held-out people; shares in 0..1, the threshold is a cosine."""

    verification: float
    tar_at_1e2: float
    tar_at_1e3: float
    threshold_fmr_1e3: float

    def __str__(self) -> str:
        return (
            f"verification {100 * self.verification:.1f}, TAR at FMR 1e-2 {100 * self.tar_at_1e2:.1f}, "
            f"1e-3 {100 * self.tar_at_1e3:.1f} (threshold {self.threshold_fmr_1e3:.3f})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """Searches of watchlists of one length; `at_fpir` is what is found, by FPIR."""

    enrolled: int
    strangers: int
    at_fpir: dict[str, Found]

    def __str__(self) -> str:
        shares = [f"{100 * float(fpir):g} %: {found}" for fpir, found in self.at_fpir.items()]
        return f"{self.enrolled} enrolled, {self.strangers} not enrolled: TPIR at FPIR {'; '.join(shares)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """One embedder; `spoilt` is TPIR and FPIR by kind, with 243 enrolled, at the `threshold` of clean pictures."""

    pairs: Accuracy
    searches: tuple[Searched, ...]
    threshold: float
    spoilt: dict[str, Rates]

    def __str__(self) -> str:
        worse = [f"searched {kind}: {rates} at {self.threshold:.3f}" for kind, rates in self.spoilt.items()]
        return "\n  ".join(map(str, [self.pairs, *self.searches, *worse]))


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

    return Accuracy(
        verification=right / len(pairs),
        tar_at_1e2=float((genuine > at_1e2).mean()),
        tar_at_1e3=float((genuine > at_1e3).mean()),
        threshold_fmr_1e3=float(at_1e3),
    )


def identification(vectors: NDArray[np.float32], names: NDArray[np.str_]) -> float:
    """TPIR at FPIR 1 % against everybody with two pictures or more."""
    several = int((np.unique(names, return_counts=True)[1] >= 2).sum())
    return found_at(search(vectors, vectors, names, size=several, draws=1), 0.01).tpir


def held_out() -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
    """The masters of people never trained on, and their names."""
    faces = load_faces(work_dir() / "faces_held_out.npz")
    return faces.crops, faces.names


def embedded(embed: Embed, masters: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Unit vectors of any number of masters."""
    return np.concatenate([embed(masters[i : i + 64]) for i in range(0, len(masters), 64)])


def evaluated(embed: Embed) -> Evaluated:
    """Everything measured of one embedder."""
    masters, names = held_out()
    vectors = embedded(embed, masters)
    searches = []
    for size, draws in WATCHLISTS.items():
        trials = search(vectors, vectors, names, size=size, draws=draws)
        found = {f"{fpir:g}": found_at(trials, fpir) for fpir in FPIRS}
        searches.append(Searched(enrolled=size, strangers=trials.strangers.shape[1], at_fpir=found))
    threshold = found_at(search(vectors, vectors, names, size=243, draws=1), 0.01).threshold
    worse = {}
    for kind in KINDS:
        seen = embedded(embed, spoilt(masters, kind))
        worse[kind] = at_threshold(search(vectors, seen, names, size=243, draws=1), threshold)
    return Evaluated(pairs=measure(vectors, names), searches=tuple(searches), threshold=threshold, spoilt=worse)


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("student", type=Path, nargs="*")
    parser.add_argument("--json", type=Path, help="where the results are written too")
    parser.add_argument("--alone", action="store_true", help="without the teacher")
    options = parser.parse_args()
    teacher = {} if options.alone else {TEACHER: teacher_path(TEACHER)}
    files = {**teacher, **{path.name: path for path in options.student}}
    results = {}
    for name, path in files.items():
        found = evaluated(teacher_embedder() if name == TEACHER else onnx_embedder(str(path)))
        sys.stdout.write(f"{name}:\n  {found}\n")
        results[name] = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), **asdict(found)}
    if options.json:
        people = len(set(held_out()[1]))
        record = {"people": people, "pictures": len(held_out()[1]), "embedders": results}
        options.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
