"""An alert in its scene: the matched face framed, every other face filled opaque, the evidence beside it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw

import pylfr
from pylfr.faces.detect import FaceDetector
from pylfr.faces.redact import NEAR_SHARE, fill_faces
from pylfr.sinks.evidence import draw_evidence
from pylfr.types import Float32, UInt8

_PAPER = (250, 249, 246)
_FRAME = (176, 0, 32)


def draw_scene(alert: pylfr.Alert, video: Path, started_at: datetime, detector: FaceDetector) -> UInt8:
    """The frame that raised the alert beside the evidence picture, uint8 [H, W, 3] RGB."""
    frame = frame_at(video, (alert.captured_at - started_at).total_seconds())
    faces = detector.with_score_floor(detector.score_floor * NEAR_SHARE).detect([frame]).boxes
    centre = (np.array(alert.box[:2]) + np.array(alert.box[2:])) / 2
    is_alerted = ((faces[:, :2] <= centre) & (centre <= faces[:, 2:])).all(axis=1)
    fill_faces(frame, faces[~is_alerted], keep=alert.box)
    scene = Image.fromarray(frame)
    ImageDraw.Draw(scene).rectangle(alert.box, outline=_FRAME, width=max(3, scene.height // 200))
    evidence = Image.fromarray(draw_evidence(alert))
    scene = _around(scene, np.concatenate([faces, np.array([alert.box], np.float32)]))
    scene = scene.resize((scene.width * evidence.height // scene.height, evidence.height), Image.Resampling.LANCZOS)
    sheet = Image.new("RGB", (scene.width + evidence.width, evidence.height), _PAPER)
    sheet.paste(scene, (0, 0))
    sheet.paste(evidence, (scene.width, 0))
    return np.asarray(sheet)


def _around(scene: Image.Image, boxes: Float32) -> Image.Image:
    """The part of the scene, in its own proportions, that holds all faces with room around them."""
    left, top = boxes[:, :2].min(axis=0)
    right, bottom = boxes[:, 2:].max(axis=0)
    wide = max(1.5 * (right - left), 4 * (bottom - top) * scene.width / scene.height)
    if wide >= scene.width:
        return scene
    tall = wide * scene.height / scene.width
    x = min(max((left + right - wide) / 2, 0), scene.width - wide)
    y = min(max((top + bottom - tall) / 2, 0), scene.height - tall)
    return scene.crop((int(x), int(y), int(x + wide), int(y + tall)))


def frame_at(video: Path, at_s: float) -> UInt8:
    """The first frame shown at ``at_s`` or later, uint8 [H, W, 3] RGB."""
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            if float(frame.time or 0) >= at_s - 1e-3:
                return np.asarray(frame.to_ndarray(format="rgb24"))
    raise ValueError(f"{video} ends before {at_s:.2f} s")
