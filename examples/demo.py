"""The main job on real footage: two people enrolled, six videos as six cameras, a contact sheet of what came of it.

Run by ``make demo``. It is a rehearsal: recordings only, and nothing is kept but the pictures in demo/.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

import pylfr
from pylfr.cli.present import print_alert, print_summary, running
from pylfr.sinks.evidence import draw_evidence
from pylfr.types import UInt8
from pylfr.video.still import write_png

OUT = Path("demo")
DETECTOR, EMBEDDER = "yunet_n", "face_reid_0095"


@dataclass(frozen=True, slots=True, kw_only=True)
class Portrait:
    """Somebody to look for, enrolled from one frame of a video in which nobody else is."""

    name: str
    video: str
    frame: int


PEOPLE = (
    Portrait(name="the dark-haired woman", video="head-pose-face-detection-female", frame=21),
    Portrait(name="the man in blue", video="head-pose-face-detection-male", frame=20),
)


def frame_of(path: Path, number: int) -> UInt8:
    """Frame ``number`` of a video, uint8 [H, W, 3] RGB."""
    import av

    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index == number:
                return np.asarray(frame.to_ndarray(format="rgb24"))
    raise SystemExit(f"{path} has no frame {number}")


def contact_sheet(pictures: list[UInt8], columns: int = 3) -> UInt8:
    """All evidence pictures on one sheet, uint8 [H, W, 3] RGB."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (width * min(columns, len(pictures)), height * rows), "white")
    for place, picture in enumerate(pictures):
        sheet.paste(Image.fromarray(picture), (width * (place % columns), height * (place // columns)))
    return np.asarray(sheet)


def main() -> int:
    console = Console(stderr=True)
    media = os.environ.get("PYLFR_MEDIA", "")
    videos = sorted((Path(media) / "video").glob("*.mp4")) if media else []
    store = pylfr.open_store()
    missing = [name for name in (DETECTOR, EMBEDDER) if store.find(name) is None]
    if missing or not videos:
        console.print("[bold]The demo needs networks and footage, and pylfr does not ship either yet.[/]")
        for name in missing:
            console.print(f"- {name} is not here: `.venv/bin/pylfr models show {name}` says where to get it; fetch or "
                          f"import it, or name its folder in PYLFR_MODELS")  # fmt: skip
        if not videos:
            console.print("- no footage: name a folder with video/*.mp4 in PYLFR_MEDIA (the demo knows the face videos "
                          "of github.com/intel-iot-devkit/sample-videos)")  # fmt: skip
        return 1
    with tempfile.TemporaryDirectory() as folder:
        people = {}
        for portrait in PEOPLE:
            image = Path(folder) / f"{portrait.video}.png"
            write_png(image, frame_of(Path(media) / "video" / f"{portrait.video}.mp4", portrait.frame))
            people[portrait.name] = [image]
        console.print(f"looking for {' and '.join(people)} in {len(videos)} videos at once")
        engine = pylfr.open_rehearsal(videos, people, detector=DETECTOR, embedder=EMBEDDER)
    alerts = []
    with running(engine, console):
        for recorded in engine.run():
            alerts.append(recorded.value)
            print_alert(recorded.value, console)
    summary = engine.summary()
    print_summary(summary, console)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    if alerts:
        write_png(OUT / "contact-sheet.png", contact_sheet([draw_evidence(alert) for alert in alerts]))
        console.print(f"[bold]{len(alerts)} possible matches[/]; look at {OUT / 'contact-sheet.png'}: a person decides")
    quiet = [name for name, camera in summary.cameras.items() if not camera.alerts]
    console.print(f"cameras without an alert: {', '.join(quiet) or 'none'}; {summary.tracks} tracks were followed, "
                  f"{summary.dwell_ms.count} probe templates existed for {summary.dwell_ms.max:.0f} ms at most, "
                  "none is left")  # fmt: skip
    return 1 if summary.errors else 0


if __name__ == "__main__":
    sys.exit(main())
