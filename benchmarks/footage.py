"""The clip that benchmarks measure on: real faces walking over a moving background. No accuracy is read from it."""

from __future__ import annotations

import os
from pathlib import Path

from rich.progress import Progress

from pylfr.sizing.footage import ClipRules, find_portraits
from pylfr.sizing.footage import make_clip as make


def lfw_folder() -> Path:
    """Photographs, one folder a person, under the folder that PYLFR_MEDIA names. Exits where it names none."""
    media = os.environ.get("PYLFR_MEDIA", "")
    if not media:
        raise SystemExit("PYLFR_MEDIA must name the folder that holds lfw/: this is measured on real faces")
    return Path(media) / "lfw"


def face_pictures(count: int) -> list[Path]:
    """Photographs of that many different people."""
    people = sorted(folder for folder in lfw_folder().iterdir() if folder.is_dir())
    step = max(1, len(people) // count)
    return [sorted(person.glob("*.jpg"))[0] for person in people[::step][:count]]


def make_clip(*, faces: int, seconds: int, seed: int = 1) -> Path:
    """The 1080p25 H.264 clip with that many faces in every frame; made once and stored in the user's cache."""
    portraits = find_portraits(lfw_folder(), count=faces)
    with Progress(transient=True) as progress:
        task = progress.add_task(f"making the clip of {faces} faces (once)")
        return make(
            ClipRules(faces=faces, seconds=seconds, seed=seed),
            portraits,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
