"""A threshold that `pylfr calibrate` found, under a deployment that runs live: whatever differs is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylfr.governance.authorisation.certificates import read_calibration
from tests.cli.command import pylfr
from tests.footage import MAN, WALKING_AND_PAUSE, video
from tests.system.governed_case import PREPARE, shell, write_case, write_signed

pytestmark = pytest.mark.usefixtures("models_dir")


@pytest.fixture(scope="module")
def deployed(media_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed deployment of a camera in real time, under a certificate made from 250 photographs of LFW."""
    folder = tmp_path_factory.mktemp("calibrated")
    (folder / "people").mkdir()
    alone = [person for person in sorted((media_dir / "lfw").iterdir()) if len(list(person.iterdir())) == 1]
    for person in alone[:250]:
        (folder / "people" / person.name).symlink_to(person)
    ends_at = datetime.now(UTC) + timedelta(hours=2)
    write_case(folder, media_dir, ends_at=ends_at)
    made = pylfr(
        "calibrate", folder / "people", "--target-fpir", "0.02", "--watchlist-size", "2",
        "--out", folder / "calibration.json", "--material", "news photographs",
        "--key", folder / "measurer.key", "--by", "Evaluation unit",
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    # Of one arithmetic, whatever runs networks by itself here.
    cohorts = json.loads((folder / "cohorts.json").read_text())
    cohorts["arithmetic"] = read_calibration(folder / "calibration.json")[0].arithmetic
    write_signed(folder, "cohorts", cohorts)
    path = folder / "deployment.toml"
    text = path.read_text().replace('pace = "as-fast-as-possible"', 'pace = "real-time"')
    text = text.replace(str(video(media_dir, WALKING_AND_PAUSE)), str(video(media_dir, MAN)))
    path.write_text(text)
    done = shell(folder, PREPARE, tomorrow=ends_at + timedelta(hours=20))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_live_run_starts_under_its_certificate_and_says_that_it_is_calibrated(deployed: Path) -> None:
    certificate, _ = read_calibration(deployed / "calibration.json")
    assert (certificate.unit, certificate.watchlist_size) == ("photographs", 2)
    assert certificate.fpir.high <= 0.021
    assert certificate.threshold < 0.568
    assert "news photographs" in certificate.material
    done = pylfr("run", deployed / "deployment.toml", "--summary", deployed / "summary.json")
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((deployed / "summary.json").read_text())
    assert summary["calibrated"]
    assert not summary["rehearsal"]
    assert summary["recognised"] > 0
    assert summary["threshold"] == 0.568


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("threshold = ", "threshold = 0.1 # "), "calibration: the certificate holds from threshold"),
        (("[recognition]", "[recognition]\nbest_scores = 1"), "calibration: one of photographs holds where two"),
        (('embedder = "face_reid_0095"', 'embedder = "mobilefacenet_y1"'), "embedder: authorised is"),
        (('detector = "yunet_n"', 'detector = "scrfd_500m_kps"'), "certificate is for another detector"),
    ],
)
def test_a_deployment_that_the_certificate_does_not_cover_is_refused(
    deployed: Path, change: tuple[str, str], said: str
) -> None:
    path = deployed / "changed.toml"
    path.write_text((deployed / "deployment.toml").read_text().replace(*change))
    done = pylfr("run", path)
    assert done.returncode != 0
    assert said in " ".join(done.stderr.split())


def test_a_certificate_for_fewer_people_or_for_another_way_of_fusing_is_refused(deployed: Path) -> None:
    path = deployed / "calibration.json"
    whole = path.read_text()
    fields = json.loads(whole)
    rules = {
        "detect_hz": 8.0, "closer_hz": 30.0, "best_scores": 3, "lone_margin": 0.02, "comparisons_hz": None,
        "candidates": 5, "min_interocular_px": 4.0,
    }  # fmt: skip
    try:
        for change, said in (
            ({"watchlist_size": 1}, "calibration: it holds for 1 references, the watchlist has 2"),
            ({"unit": "tracks", "rules": rules}, "calibration: the certificate is for best_scores 3, the deployment"),
            ({"unit": "tracks", "rules": {**rules, "best_k": 8}}, "measured by earlier rules (best_k)"),
            (
                {"unit": "tracks", "rules": {"detect_hz": 8.0}},
                "earlier rules (no closer_hz, no best_scores",
            ),
            ({"unit": "tracks"}, "one way of fusing: give both"),
            ({"model": "ab" * 32}, "calibration: the certificate is for another network"),
            ({"threshold": 0.2, "measured": None}, "calibration: the certificate is not signed by who measured"),
        ):
            # What cannot be read as a certificate, or says that nobody signed it, cannot be signed here either.
            if "one way of fusing" in said or "earlier rules" in said or "measured" in change:
                path.write_text(json.dumps({**fields, **change}))
            else:
                write_signed(deployed, "calibration", {**fields, **change})
            done = pylfr("run", deployed / "deployment.toml")
            assert done.returncode != 0
            assert said in " ".join(done.stderr.split())
    finally:
        path.write_text(whole)
