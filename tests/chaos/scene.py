"""What a camera of chaos shows, and who of it is on the watchlist: real footage where there is some."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from pylfr.sizing.footage import ClipRules, find_portraits, make_clip
from pylfr.types import UInt8
from pylfr.video.decoding.image_io import read_image
from tests.footage import BOTH, save_references, video

# Nobody else's names: found in any file in the open, they were left there by pylfr.
NAMES = {"woman": "Zyxwenna Quillfeather", "man": "Vorthax Umberblight"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """``clip`` is a recording, ``references`` a picture of each listed person; the networks recognise them in it."""

    kind: str
    clip: Path
    references: Mapping[str, UInt8]
    detector: str
    embedder: str
    threshold: float


def find_scene(folder: Path) -> Scene:
    """Two people who walk by, recognised by real networks; where PYLFR_MODELS or PYLFR_MEDIA is not set a made one."""
    media = os.environ.get("PYLFR_MEDIA", "")
    return real_scene(Path(media), folder) if media and os.environ.get("PYLFR_MODELS") else made_scene(folder)


def real_scene(media: Path, folder: Path) -> Scene:
    pictures = {NAMES[person]: paths[0] for person, paths in save_references(media, folder).items()}
    return Scene(
        kind="real footage",
        clip=video(media, BOTH),
        references={name: read_image(path) for name, path in pictures.items()},
        detector="yunet_n",
        embedder="face_reid_0095",
        threshold=0.568,
    )


def made_scene(folder: Path) -> Scene:
    """A portrait that moves over a street, and the networks that come with pylfr."""
    portraits = find_portraits(None, count=1)
    return Scene(
        kind="made footage",
        clip=make_clip(ClipRules(faces=1, seconds=4, width=640, height=360, still=True), portraits, folder=folder),
        references={NAMES["woman"]: portraits.pictures[0]},
        detector="pylfr_nano_detect",
        embedder="pylfr_nano_embed",
        threshold=0.2,
    )


def film(scene: Scene, folder: Path) -> Path:
    """The clip again and again for an hour, with 3 s of nothing between, as Matroska."""
    path = folder / "film.mkv"
    with av.open(str(scene.clip)) as source, av.open(str(path), "w") as out:
        stream = source.streams.video[0]
        copied = out.add_stream_from_template(stream)
        packets = [each for each in source.demux(stream) if each.dts is not None and each.pts is not None]
        base_time = stream.time_base or Fraction(1, 1000)
        length = max(int(each.pts or 0) + int(each.duration or 0) for each in packets) + int(3 / base_time)
        times = [(int(each.pts or 0), int(each.dts or 0)) for each in packets]
        for turn in range(int(3600 / float(length * base_time))):
            for packet, (pts, dts) in zip(packets, times, strict=True):
                packet.stream = copied
                packet.pts, packet.dts, packet.time_base = pts + turn * length, dts + turn * length, base_time
                out.mux(packet)
    return path
