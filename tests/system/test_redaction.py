"""In an alert's picture nobody but the alerted person is to be seen: two detectors find no other face in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pylfr.deployment.open import open_rehearsal
from pylfr.errors import ModelError
from pylfr.faces.detect import FaceDetector, open_detector
from pylfr.types import Alert
from tests.footage import BOTH, WALKING_AND_PAUSE, save_references, video

pytestmark = pytest.mark.usefixtures("models_dir")

# Far below what either detector is used with: a face that is half covered would still be found.
FLOOR = 0.35


@pytest.fixture(scope="module")
def alerts(media_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Alert]:
    """Alerts on footage in which other people stand beside the one who is alerted on."""
    people = save_references(media_dir, tmp_path_factory.mktemp("references"))
    engine = open_rehearsal(
        [video(media_dir, name) for name in (WALKING_AND_PAUSE, BOTH)],
        people,
        detector="yunet_n",
        embedder="face_reid_0095",
    )
    return [recorded.value for recorded in engine.run()]


@pytest.fixture(params=["yunet_n", "scrfd_500m_kps"])
def detector(request: pytest.FixtureRequest) -> FaceDetector:
    try:
        return open_detector(request.param)
    except ModelError as error:
        pytest.skip(f"{request.param} cannot be had here: {error}")


def test_both_people_were_alerted_on_beside_others(alerts: list[Alert]) -> None:
    found = {(alert.entry, alert.camera) for alert in alerts}
    assert found == {("man", BOTH), ("woman", BOTH), ("woman", WALKING_AND_PAUSE)}


def test_no_detector_finds_a_second_face_in_an_alerts_picture(alerts: list[Alert], detector: FaceDetector) -> None:
    close = detector.with_score_floor(FLOOR)
    seen = 0
    for alert in alerts:
        # With a margin the face is as small as detectors are used to; without, it fills their view.
        for margin in (0, 128, 384):
            picture = np.pad(alert.crop, ((margin, margin), (margin, margin), (0, 0)))
            faces = close.detect([picture])
            assert len(faces) <= 1, f"{alert.entry} in {alert.camera}: {faces.boxes.tolist()}, {faces.scores.tolist()}"
            seen += len(faces)
            for left, top, right, bottom in faces.boxes.tolist():
                middle = picture.shape[0] / 2
                assert left < middle < right
                assert top < middle < bottom
    assert seen >= len(alerts), "the detector must be able to see the one face that is shown"


def test_the_detectors_do_find_the_others_in_the_whole_picture(
    alerts: list[Alert], detector: FaceDetector, media_dir: Path
) -> None:
    from tests.footage import picture_of

    assert len(detector.detect([picture_of(video(media_dir, BOTH), 40)])) >= 2
