"""Two ways to recognise faces in a video that people use today, written as their documentation suggests.

Every frame, every face: detect, embed, compare with everybody enrolled, alert above the threshold, once a cool-down.
They are given the weights that pylfr is given, one picture a person, and as many threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort  # noqa: TID251 - a peer's own session is made here, not pylfr's
from insightface.app import FaceAnalysis

from pylfr.evaluation.video.passes import Compared, Raised
from pylfr.models.store import open_store
from pylfr.types import Float32, UInt8

COOLDOWN_S = 60.0
_CANDIDATES = 5
_LONG_SIDE_PX = 640


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """The faces of one picture: boxes float32 [N, 4] xyxy, scores float32 [N], templates float32 [N, D]."""

    boxes: Float32
    scores: Float32
    templates: Float32


# uint8 [H, W, 3] BGR, as OpenCV reads it, to faces.
Recognise = Callable[[UInt8], Found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a pipeline made of one video; ``failed`` says why it did not get to its end."""

    compared: tuple[Compared, ...]
    raised: tuple[Raised, ...]
    frames: int
    looked_at: int
    recognised: int
    seconds: float
    processor_s: float
    failed: str = ""


def open_insightface(
    detector: str, embedder: str, folder: Path, *, threads: int, least_score: float = 0.5
) -> Recognise:
    """The ``FaceAnalysis`` of insightface, which looks at 640 x 640, on files that it keeps reading in ``folder``."""
    store = open_store()
    folder = folder / "networks"
    folder.mkdir(exist_ok=True)
    (folder / "det.onnx").write_bytes(store.resolve(detector).path.read_bytes())
    network = onnx.load(str(store.resolve(embedder).path))
    if store.manifest(embedder).pixels.colour == "bgr":
        _take_rgb(network)
    onnx.save(network, str(folder / "rec.onnx"))
    app = FaceAnalysis(
        name=str(folder), providers=["CPUExecutionProvider"], sess_options=_options(threads),
        allowed_modules=["detection", "recognition"],
    )  # fmt: skip
    app.prepare(ctx_id=-1, det_thresh=least_score, det_size=(_LONG_SIDE_PX, _LONG_SIDE_PX))
    recognition = app.models["recognition"]
    # pylfr's manifest says what the network wants; the class guesses it from the names of the first nodes.
    pixels = store.manifest(embedder).pixels
    recognition.input_mean, recognition.input_std = pixels.mean[0], 1.0 / pixels.scale[0]
    dimension = recognition.output_shape[-1]

    def recognise(picture: UInt8) -> Found:
        faces = app.get(picture)
        return Found(
            boxes=np.array([face.bbox for face in faces], np.float32).reshape(-1, 4),
            scores=np.array([face.det_score for face in faces], np.float32),
            templates=np.array([face.normed_embedding for face in faces], np.float32).reshape(-1, dimension),
        )

    return recognise


def open_opencv(detector: str, embedder: str, *, threads: int, least_score: float = 0.6) -> Recognise:
    """OpenCV's ``FaceDetectorYN``, an aligned crop for each face, and ``cv2.dnn`` for the embedder."""
    cv2.setNumThreads(threads)
    store = open_store()
    finder = cv2.FaceDetectorYN.create(str(store.resolve(detector).path), "", (640, 360), least_score, 0.45, 5000)
    network = cv2.dnn.readNet(str(store.resolve(embedder).path))
    manifest = store.manifest(embedder)
    embed = manifest.embed
    if embed is None:
        raise SystemExit(f"{embedder} is no embedder")
    template = np.asarray(embed.landmark_template, np.float32)
    side, pixels = embed.side_px, manifest.pixels

    def recognise(picture: UInt8) -> Found:
        factor = _LONG_SIDE_PX / max(picture.shape[:2])
        small = cv2.resize(picture, None, fx=factor, fy=factor)
        finder.setInputSize((small.shape[1], small.shape[0]))
        rows = finder.detect(small)[1]
        rows = np.empty((0, 15), np.float32) if rows is None else rows / np.array([factor] * 14 + [1], np.float32)
        templates = np.empty((len(rows), embed.dimension), np.float32)
        for index, row in enumerate(rows):
            to_crop = cv2.estimateAffinePartial2D(row[4:14].reshape(5, 2), template, method=cv2.LMEDS)[0]
            crop = cv2.warpAffine(picture, to_crop, (side, side))
            network.setInput(
                cv2.dnn.blobFromImage(crop, pixels.scale[0], (side, side), pixels.mean, pixels.colour == "rgb")
            )
            vector = network.forward().reshape(-1)
            templates[index] = vector / np.linalg.norm(vector)
        boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1).astype(np.float32)
        return Found(boxes=boxes, scores=rows[:, 14].astype(np.float32), templates=templates)

    return recognise


def enrol(recognise: Recognise, people: Mapping[str, Path]) -> tuple[list[str], Float32]:
    """The names of those in whose picture a face was found, and their templates, float32 [N, D]."""
    names, templates = [], []
    for name, path in people.items():
        found = recognise(_read_bgr(path))
        if len(found.scores):
            names.append(name)
            templates.append(found.templates[int(np.argmax(found.scores))])
    if not names:
        raise SystemExit("the peer found nobody in the pictures to enrol")
    return names, np.stack(templates)


def watch(
    recognise: Recognise,
    video: Path,
    names: list[str],
    templates: Float32,
    *,
    threshold: float,
    detect_hz: float | None,
) -> Outcome:
    """Read a video to its end: every frame, or one in so many to keep ``detect_hz``."""
    compared: list[Compared] = []
    raised: list[Raised] = []
    last: dict[str, float] = {}
    frames = looked_at = 0
    began, processor_began = time.perf_counter(), time.process_time()
    capture = cv2.VideoCapture(str(video))
    rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
    due = -1
    while capture.grab():
        at_s, frames = frames / rate, frames + 1
        slot = frames if detect_hz is None else int(at_s * detect_hz + 0.01)
        if slot == due:
            continue
        due = slot
        _, picture = capture.retrieve()
        looked_at += 1
        found = recognise(picture)
        scores = found.templates @ templates.T
        for row in range(len(scores)):
            # A pipeline without a tracker: every face is a track of its own.
            best = np.argsort(-scores[row])[:_CANDIDATES]
            x1, y1, x2, y2 = (float(side) for side in found.boxes[row])
            face = Compared(
                camera=video.stem, track_id=len(compared) + 1, at_s=at_s, box=(x1, y1, x2, y2),
                quality=float(found.scores[row]), is_full=len(best) == _CANDIDATES,
                interocular_px=0.0, sharpness=0.0, brightness=0.0, turn_deg=0.0,
                candidates=tuple((names[index], float(scores[row, index])) for index in best),
            )  # fmt: skip
            compared.append(face)
            entry, score = face.candidates[0]
            if score >= threshold and at_s - last.get(entry, -COOLDOWN_S) >= COOLDOWN_S:
                last[entry] = at_s
                raised.append(
                    Raised(
                        camera=face.camera, track_id=face.track_id, at_s=at_s, box=face.box, entry=entry, score=score
                    )
                )
    capture.release()
    return Outcome(
        compared=tuple(compared), raised=tuple(raised), frames=frames, looked_at=looked_at, recognised=len(compared),
        seconds=time.perf_counter() - began, processor_s=time.process_time() - processor_began,
    )  # fmt: skip


def _read_bgr(path: Path) -> UInt8:
    picture = cv2.imread(str(path))
    if picture is None:
        raise SystemExit(f"OpenCV cannot read {path}")
    bgr: UInt8 = picture
    return bgr


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return options


def _take_rgb(network: onnx.ModelProto) -> None:
    """Let a network that wants BGR take the RGB that insightface hands it: the channels turn round first."""
    entrance = network.graph.input[0].name
    for node in network.graph.node:
        for place, name in enumerate(node.input):
            if name == entrance:
                node.input[place] = "turned_channels"
    turned = onnx.helper.make_node("Gather", [entrance, "turned_order"], ["turned_channels"], axis=1)
    network.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2, 1, 0], np.int64), "turned_order"))
    network.graph.node.insert(0, turned)
