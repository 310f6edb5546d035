"""Who may be learnt from and who is held out: a quarter of all people, by name, for everything trained here."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

HELD_OUT_ONE_IN = 4


def is_held_out(name: str) -> bool:
    """True for the quarter of people whom no network here ever sees, in crops or in composed scenes."""
    return int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(), 16) % HELD_OUT_ONE_IN == 0


def images_of(folder: Path, *, held_out: bool) -> list[tuple[str, Path]]:
    """(person, picture) of every picture in a folder of folders (one a person), sorted, of one side of the split."""
    return [
        (person.name, picture)
        for person in sorted(folder.iterdir())
        if person.is_dir() and is_held_out(person.name) == held_out
        for picture in sorted(person.glob("*.jpg"))
    ]


def media_dir() -> Path:
    """The folder that PYLFR_MEDIA names: `lfw/` with a folder a person, `video/` with footage to measure on."""
    return _named_by("PYLFR_MEDIA")


def lfw_dir() -> Path:
    """Where the portraits lie."""
    return media_dir() / "lfw"


def teacher_path(file: str) -> Path:
    """A teacher's ONNX file in the folder that PYLFR_MODELS names."""
    return _named_by("PYLFR_MODELS") / file


def work_dir() -> Path:
    """Where caches and checkpoints go: PYLFR_TRAINING, by default ~/.cache/pylfr-training; never the repository."""
    path = Path(os.environ.get("PYLFR_TRAINING", "~/.cache/pylfr-training")).expanduser()
    path.mkdir(parents=True, exist_ok=True)
    return path


def _named_by(variable: str) -> Path:
    if variable not in os.environ:
        raise SystemExit(f"set {variable} to the folder that training/README.md describes")
    return Path(os.environ[variable])
