"""The main job, from video to contact sheet: run by ``make demo``, a rehearsal that writes to demo/ and nowhere else.

If PYLFR_MEDIA names real footage (the face videos of github.com/intel-iot-devkit/sample-videos in video/), two
people are enrolled and all videos play as cameras. Otherwise it renders a street from two public-domain portraits that
scikit-image and matplotlib carry: Eileen Collins (NASA) is sought, Grace Hopper (US Navy) walks by.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from rich.console import Console

import pylfr
from examples.scene import draw_scene
from examples.street import Walk, render
from pylfr.cli.present import chosen_network, print_alert, print_notices, print_summary, running
from pylfr.sinks.evidence import draw_evidence
from pylfr.types import UInt8
from pylfr.video.decoding.image_io import write_jpeg, write_png

OUT = Path("demo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The demo's material: videos, people with their reference images, and how hard a case it is."""

    videos: list[Path]
    people: dict[str, list[Path]]
    remark: str


def real_footage(media: Path, folder: Path) -> Case:
    """Two people, each enrolled from one frame of a video in which nobody else is."""
    people = {}
    for name, video, number in (
        ("the dark-haired woman", "head-pose-face-detection-female", 21),
        ("the man in blue", "head-pose-face-detection-male", 20),
    ):
        people[name] = [folder / f"{video}.png"]
        write_png(people[name][0], frame_of(media / "video" / f"{video}.mp4", number))
    remark = "Real footage of a few consenting people: it shows the engine at work and is no accuracy test."
    return Case(videos=sorted((media / "video").glob("*.mp4")), people=people, remark=remark)


def street_of_portraits(folder: Path) -> Case:
    """Two people, two passes each; the one who is looked for is enrolled from a picture that was treated otherwise."""
    OUT.mkdir(exist_ok=True)
    render_street(OUT, seconds=16.5)
    remark = (
        "A re-treated photograph of the same portrait is an easy case: this shows the engine at work, not its accuracy."
    )
    reference = shutil.copy(OUT / "collins.jpg", folder)
    return Case(videos=[OUT / "street.mp4"], people={"Eileen Collins": [Path(reference)]}, remark=remark)


def render_street(folder: Path, *, seconds: float) -> None:
    """Write street.mp4; collins.jpg and hopper.jpg, the reference images of the two people in it; group.jpg of both."""
    collins, hopper = portraits()
    group = Image.new("RGB", (720, 400), (90, 90, 90))
    for place, portrait in enumerate((collins, hopper)):
        group.paste(ImageOps.fit(Image.fromarray(portrait), (360, 400)), (360 * place, 0))
    write_jpeg(folder / "group.jpg", np.asarray(group))
    walks = [
        Walk(name="Collins", starts_s=0.0, lasts_s=7.0, across=(0.36, 0.30), tall_px=(190, 620)),
        Walk(name="Hopper", starts_s=0.0, lasts_s=8.0, across=(0.62, 0.72), tall_px=(170, 560)),
        Walk(name="Hopper", starts_s=9.5, lasts_s=6.0, across=(0.15, 0.35), tall_px=(120, 620)),
        Walk(name="Collins", starts_s=10.0, lasts_s=6.0, across=(0.85, 0.72), tall_px=(70, 400)),
    ]
    render(folder / "street.mp4", {"Collins": collins, "Hopper": hopper}, walks, seconds=seconds)
    # Without the cap: the small detector that comes with pylfr sees a face in its badge.
    for name, portrait in (("collins", collins), ("hopper", hopper[60:, 30:340])):
        treated = Image.fromarray(portrait).rotate(3, Image.Resampling.BICUBIC, fillcolor=(90, 90, 90))
        treated = ImageEnhance.Color(ImageEnhance.Brightness(treated).enhance(1.2)).enhance(0.4)
        write_jpeg(folder / f"{name}.jpg", np.asarray(treated.resize((220, 220 * treated.height // treated.width))))


def portraits() -> tuple[UInt8, UInt8]:
    """Head and shoulders of Eileen Collins and of Grace Hopper, uint8 [H, W, 3] RGB, from packages' sample data."""
    try:
        import matplotlib.cbook
        import skimage.data
    except ImportError as error:
        raise SystemExit(f"the demo needs scikit-image and matplotlib ({error}): pip install --group demo") from error
    collins: UInt8 = skimage.data.astronaut()
    file = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    hopper = np.asarray(Image.open(str(file)).convert("RGB"))
    return np.ascontiguousarray(collins[0:290, 95:355]), np.ascontiguousarray(hopper[20:440, 90:455])


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


def report(alerts: list[pylfr.Alert], summary: pylfr.Summary, case: Case) -> list[str]:
    """Who was alerted, who was not, and what was erased how fast."""
    found = sorted({alert.entry for alert in alerts})
    quiet = [name for name, camera in summary.cameras.items() if not camera.alerts]
    dwell = summary.dwell_ms
    return [
        f"Alerted: {', '.join(found) or 'nobody'} ({len(alerts)} possible matches, {summary.suppressed} repeats "
        "suppressed). Each is a prompt: a person decides.",
        f"Not alerted: everybody else in {summary.tracks} tracks; cameras without an alert: "
        f"{', '.join(quiet) or 'none'}.",
        f"Erased: {dwell.count} probe templates after {dwell.p50:.0f} ms (p50), {dwell.max:.0f} ms at most; "
        "no unmatched face was stored, written or sent.",
        f"Dropped: {', '.join(f'{count} {cause}' for cause, count in summary.dropped.items()) or 'nothing'}.",
        case.remark,
    ]


def main() -> int:
    console = Console(stderr=True)
    media = os.environ.get("PYLFR_MEDIA", "")
    shutil.rmtree(OUT, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        case = real_footage(Path(media), folder) if media else street_of_portraits(folder)
        detector, embedder = chosen_network("detect", None, console), chosen_network("embed", None, console)
        print_notices([detector, embedder], console)
        console.print(f"looking for {' and '.join(case.people)} in {len(case.videos)} video(s)")
        started_at = datetime.now(UTC)
        engine = pylfr.open_rehearsal(
            case.videos, case.people, detector=detector, embedder=embedder, started_at=started_at
        )
    alerts = []
    with running(engine, console):
        for recorded in engine.run():
            alerts.append(recorded.value)
            print_alert(recorded.value, console)
    summary = engine.summary()
    print_summary(summary, console)
    OUT.mkdir(exist_ok=True)
    lines = report(alerts, summary, case)
    if alerts:
        write_png(OUT / "contact-sheet.png", contact_sheet([draw_evidence(alert) for alert in alerts]))
        videos = {video.stem: video for video in case.videos}
        scene = draw_scene(alerts[0], videos[alerts[0].camera], started_at, pylfr.open_detector(detector))
        write_png(OUT / "alert.png", scene)
        lines.append(f"Open {OUT / 'alert.png'} and {OUT / 'contact-sheet.png'}.")
    (OUT / "report.txt").write_text("Rehearsal\n" + "\n".join(lines) + "\n", encoding="utf-8")
    for line in lines:
        console.print(line, highlight=False)
    return 1 if summary.errors or not alerts else 0


if __name__ == "__main__":
    sys.exit(main())
