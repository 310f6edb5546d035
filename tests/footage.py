"""The real footage that tests run on, and who is in it (the README beside the footage says so)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pylfr.types import UInt8
from pylfr.video.decoding.image_io import write_png
from pylfr.video.open import open_file

WALKING_AND_PAUSE = "face-demographics-walking-and-pause"
WALKING = "face-demographics-walking"
WOMAN = "head-pose-face-detection-female"
MAN = "head-pose-face-detection-male"
BOTH = "head-pose-face-detection-female-and-male"
NOBODY = "one-by-one-person-detection"

# (person, camera) of every alert that all six videos together must give, and no other.
TRUTH = {("woman", WALKING_AND_PAUSE), ("woman", BOTH), ("woman", WOMAN), ("man", BOTH), ("man", MAN)}


def video(media: Path, name: str) -> Path:
    return media / "video" / f"{name}.mp4"


def picture_of(path: Path, number: int) -> UInt8:
    """Frame ``number`` of a video, uint8 [H, W, 3] RGB, converted by FFmpeg and not by pylfr."""
    import av

    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index == number:
                return np.asarray(frame.to_ndarray(format="rgb24"))
    raise ValueError(f"{path} has no frame {number}")


def save_references(media: Path, folder: Path) -> dict[str, list[Path]]:
    """Pictures of the woman and of the man in blue, from the videos in which they are alone."""
    people = {"woman": (WOMAN, 21), "man": (MAN, 20)}
    for person, (name, number) in people.items():
        write_png(folder / f"{person}.png", picture_of(video(media, name), number))
    return {person: [folder / f"{person}.png"] for person in people}


def frames_of(path: Path) -> int:
    """How many frames a video has, by decoding it."""
    return sum(1 for _ in open_file(path, camera="count", started_at=datetime.now(UTC)).frames())
