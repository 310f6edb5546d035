"""A camera that has been knocked out of focus and into the dark is noticed by its counts; one that has not is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from pylfr.deployment.recognition import fusion_rules_of, preprocessing_of
from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.evaluation.crowd.cast import Roles, cast_crowd, cut_heads
from pylfr.evaluation.crowd.crowd import plan_crowd
from pylfr.evaluation.crowd.planning import CrowdRules
from pylfr.evaluation.crowd.source import CrowdSource
from pylfr.evaluation.crowd.walk import Walker
from pylfr.evaluation.drift import histogram_of
from pylfr.evaluation.images.people import list_photographs
from pylfr.evaluation.video.passes import SubjectPass
from pylfr.evaluation.video.replay import REPLAY_BEGAN, VideoReplay, run_replay
from pylfr.evaluation.video.tracks import non_mated_tracks
from pylfr.faces.detect import open_detector
from pylfr.governance.authorisation.certificates import CalibrationCertificate, CertifiedRate
from pylfr.models.store import open_store
from pylfr.protocols import Source
from pylfr.runtimes.registry import choose_runtime
from pylfr.types import Frame
from tests.cli.command import pylfr

pytestmark = pytest.mark.usefixtures("models_dir")

BRISK = CrowdRules(lanes=8, far_px=(60, 80), near_px=(110, 200), walk_s=(0.8, 1.2), pause_s=(0.1, 0.2))


class Knocked:
    """A camera out of focus and in the dark."""

    is_live = False

    def __init__(self, source: CrowdSource) -> None:
        self._source = source
        self.camera = source.camera

    def close(self) -> None:
        self._source.close()

    def frames(self) -> Iterator[Frame]:
        for frame in self._source.frames():
            luma = frame.planes[0].astype(np.uint16)
            for axis in (0, 1):
                luma = (luma + np.roll(luma, 1, axis) + np.roll(luma, 2, axis)) // 3
            yield replace(frame, planes=((luma * 2 // 5).astype(np.uint8), *frame.planes[1:]))


@pytest.fixture(scope="module")
def seen(media_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """The certificate of one crowd, and the counts of that crowd, of another, and of the other through a bad camera."""
    folder = tmp_path_factory.mktemp("drift")
    photographs = [each for each in list_photographs(media_dir / "lfw") if each.path.stem.endswith("_0001")][::14]
    heads = cut_heads(open_detector("yunet_n"), photographs)
    cast = cast_crowd(heads, folder, Roles(mated=0, non_mated=130, fillers=4))
    people = {name: [path] for name, path in cast.references.items()}

    def walk(walkers: tuple[Walker, ...], place: str, seed: int, *, knocked: bool = False) -> VideoReplay:
        scene = plan_crowd(walkers, seed=seed, rules=BRISK)
        source = CrowdSource(scene, camera="gate", started_at=REPLAY_BEGAN)
        camera: Source = Knocked(source) if knocked else source
        truth.extend(scene.truth("gate"))
        return run_replay([camera], people, detector="yunet_n", embedder="face_reid_0095", aggregates=folder / place)

    truth: list[SubjectPass] = []
    first = walk(cast.walkers[:65], "a", 1)
    material = non_mated_tracks(truth, first.compared, first.fused, list(people))
    walk(cast.walkers[65:], "b", 2)
    walk(cast.walkers[65:], "c", 2, knocked=True)
    store = open_store()
    now = datetime.now(UTC).replace(microsecond=0)
    certificate = CalibrationCertificate(
        type="calibration",
        unit="tracks",
        model=store.resolve("face_reid_0095").sha256,
        detector=store.resolve("yunet_n").sha256,
        preprocessing=preprocessing_of(store.manifest("face_reid_0095")),
        arithmetic=choose_runtime("auto").arithmetic,
        rules=fusion_rules_of(RecognitionSection()),
        watchlist_size=4,
        threshold=0.5,
        fpir=CertifiedRate(value=0.001, numerator=0, denominator=65, low=0, high=0.05),
        material="65 synthetic passes",
        non_mated_best=histogram_of(material.non_mated.best),
        conditions=dict(material.conditions),
        issued_at=now,
        expires_at=now + timedelta(days=1),
    )
    path = folder / "certificate.json"
    path.write_text(certificate.model_dump_json())
    return path, [next((folder / place).iterdir()) for place in "abc"]


def test_another_crowd_before_the_same_camera_is_no_drift(seen: tuple[Path, list[Path]]) -> None:
    certificate, (first, other, _) = seen
    done = pylfr("drift", certificate, first, other, "--false-alerts", "0", "--false-alerts", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no drift is seen" in done.stdout
    assert "0 false alerts, 0.1" in done.stdout


def test_a_camera_out_of_focus_and_in_the_dark_is_noticed_and_named(seen: tuple[Path, list[Path]]) -> None:
    certificate, (first, _, knocked) = seen
    done = pylfr("drift", certificate, first, knocked)
    assert done.returncode == 1
    assert "camera gate: log sharpness has moved" in done.stderr
    assert "camera gate: brightness has moved" in done.stderr
    assert "in the certificate's material: look at the cameras, then calibrate again" in done.stderr


def test_false_alerts_that_pile_up_over_runs_are_noticed(seen: tuple[Path, list[Path]]) -> None:
    certificate, (first, other, _) = seen
    counts = [argument for number in (0, 2, 3) for argument in ("--false-alerts", str(number))]
    done = pylfr("drift", certificate, first, other, other, *counts)
    assert done.returncode == 1
    assert "false alerts have risen above what was certified" in done.stderr
    refused = pylfr("drift", certificate, first, other, "--false-alerts", "1")
    assert "must be given once a file: 2 files, 1 counts" in refused.stderr


def test_another_network_than_was_certified_is_said(seen: tuple[Path, list[Path]], tmp_path: Path) -> None:
    certificate, (first, *_) = seen
    fields = json.loads(certificate.read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps(fields | {"model": "ab" * 32}))
    done = pylfr("drift", other, first)
    assert done.returncode == 1
    assert "another network or preprocessing than was certified" in done.stderr
    other.write_text(json.dumps(fields | {"non_mated_best": []}))
    assert "holds no histogram of scores" in pylfr("drift", other, first).stderr
