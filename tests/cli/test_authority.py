"""``pylfr authority``: a key, a draft, a signature, a check; then nothing may differ, or the run is refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.gallery.watchlist.watchlist import create_watchlist, open_watchlist
from pylfr.video.decoding.image_io import read_image
from tests.cli.command import pylfr
from tests.footage import MAN, save_references, video

pytestmark = pytest.mark.usefixtures("models_dir")

WORDS = """
purpose = "find a missing person who consented to being looked for"
use_case = "measurement"
legal_basis = "consent"
necessity = "nothing else measures it"
proportionality = "one corridor, one hour"
authorising_officer = "Dr A. Example"
operator = "B. Example"
senior_accountable_person = "Prof. C. Example"
dpia = "DPIA-1"
eia = "EIA-1"
signage_confirmed = true
"""


def deployment_text(media: Path) -> str:
    return f"""
name = "Corridor"
[authority]
profile = "research"
place = "the corridor"
signed = "authorisation.json"
officer_key = "officer.pub"
[models]
detector = "yunet_n"
embedder = "face_reid_0095"
[watchlist]
file = "corridor.watchlist"
[recognition]
threshold = 0.5
[audit]
path = "audit.log"
key = "record.key"
checkpoints = "elsewhere.checkpoints"
[records]
file = "records.sqlite"
[[cameras]]
name = "north"
source = "{video(media, MAN)}"
pace = "as-fast-as-possible"
"""


@pytest.fixture(scope="module")
def signed(media_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment whose authorisation is drafted from it and signed."""
    folder = tmp_path_factory.mktemp("signed")
    references = save_references(media_dir, folder)
    embedder = open_embedder("face_reid_0095")
    with create_watchlist(folder / "corridor.watchlist", embedder) as watchlist:
        watchlist.enrol("man", read_image(references["man"][0]), detector=open_detector("yunet_n"), embedder=embedder)
    (folder / "deployment.toml").write_text(deployment_text(media_dir))
    now = datetime.now(UTC)
    window = (
        f"starts_at = {(now - timedelta(hours=1)).isoformat()}\nends_at = {(now + timedelta(hours=1)).isoformat()}\n"
    )
    (folder / "case.toml").write_text(WORDS + window)
    for words in (
        ("keygen", folder / "officer.key"),
        ("keygen", folder / "record.key"),
        ("draft", folder / "deployment.toml", "--case", folder / "case.toml", "--out", folder / "draft.json"),
        ("sign", folder / "draft.json", "--key", folder / "officer.key", "--out", folder / "authorisation.json"),
    ):
        done = pylfr("authority", *map(str, words))
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(signed: Path, tmp_path: Path) -> Iterator[Path]:
    """The same, which the test may change: its paths are among what was authorised, so that it has to stay there."""
    as_signed = shutil.copytree(signed, tmp_path / "as signed")
    yield signed
    shutil.rmtree(signed)
    as_signed.rename(signed)


def test_a_deployment_that_was_signed_for_checks_and_runs(folder: Path) -> None:
    checked = pylfr("authority", "check", str(folder / "deployment.toml"))
    assert checked.returncode == 0, checked.stderr
    assert "fits under profile research" in checked.stdout
    ran = pylfr("run", str(folder / "deployment.toml"), "--summary", str(folder / "summary.json"))
    assert ran.returncode == 0, ran.stderr
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["alerts"] == 1
    assert summary["authorisation"] in checked.stdout


def _replace(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))

    return change


def _enrol_somebody(folder: Path) -> None:
    embedder = open_embedder("face_reid_0095")
    with open_watchlist(folder / "corridor.watchlist") as watchlist:
        image = read_image(folder / "woman.png")
        watchlist.enrol("woman", image, detector=open_detector("yunet_n"), embedder=embedder)


def _other_key(folder: Path) -> None:
    pylfr("authority", "keygen", str(folder / "other.key"))
    (folder / "other.pub").replace(folder / "officer.pub")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_replace("deployment.toml", "threshold = 0.5", "threshold = 0.4"), "threshold: authorised is 0.5"),
        (_replace("deployment.toml", 'name = "north"', 'name = "gate"'), "cameras: 'gate' is not authorised"),
        (
            _replace("deployment.toml", "pose-face-detection-male", "pose-face-detection-female"),
            "the stream of 'north'",
        ),
        (_replace("deployment.toml", 'place = "the corridor"', 'place = "the hall"'), "place: authorised is"),
        (_replace("authorisation.json", '"the corridor"', '"the hall"'), "altered after it was signed: place"),
        (lambda folder: (folder / "authorisation.json").unlink(), "cannot be read"),
        (_enrol_somebody, "watchlist: authorised is"),
        (_other_key, "signature: the authorising officer's key"),
    ],
)
def test_a_deployment_that_differs_does_not_run(folder: Path, change: Callable[[Path], None], words: str) -> None:
    change(folder)
    done = pylfr("run", folder / "deployment.toml")
    assert done.returncode == 1
    assert words in done.stderr
    assert b"run-began" not in (folder / "audit.log").read_bytes()


def test_a_draft_with_blanks_is_not_signed(folder: Path, tmp_path: Path) -> None:
    drafted = pylfr("authority", "draft", str(folder / "deployment.toml"), "--out", str(tmp_path / "blank.json"))
    assert "completed (purpose, use_case" in drafted.stdout
    done = pylfr(
        "authority", "sign", str(tmp_path / "blank.json"),
        "--key", str(folder / "officer.key"), "--out", str(tmp_path / "x.json"),
    )  # fmt: skip
    assert done.returncode == 1
    assert "purpose: must say something" in done.stderr
    assert not (tmp_path / "x.json").exists()


def test_measured_fields_cannot_be_stated_and_unknown_ones_are_named(folder: Path, tmp_path: Path) -> None:
    for words, said in (("threshold = 0.1", "cannot be stated"), ('why = "x"', "has no 'why'")):
        (tmp_path / "wrong.toml").write_text(words)
        done = pylfr(
            "authority", "draft", str(folder / "deployment.toml"),
            "--case", str(tmp_path / "wrong.toml"), "--out", str(tmp_path / "y.json"),
        )  # fmt: skip
        assert done.returncode == 1
        assert said in done.stderr


def test_plain_words_do_not_open_a_live_camera(folder: Path) -> None:
    text = (folder / "deployment.toml").read_text()
    start, end = text.index("[authority]"), text.index("[models]")
    now = datetime.now(UTC)
    leave = f"""
[authorisation]
purpose = "p"
place = "p"
cameras = ["north"]
starts_at = {(now - timedelta(hours=1)).isoformat()}
ends_at = {(now + timedelta(hours=1)).isoformat()}
authorising_officer = "o"
legal_basis = "l"
"""
    for source in ("rtsp://192.0.2.1/stream", "/dev/null", "v4l2:///dev/video0"):
        at = text.index('source = "')
        live = text[: at + 10] + source + text[text.index('"', at + 10) :]
        (folder / "live.toml").write_text(live[:start] + leave + live[end:])
        done = pylfr("run", str(folder / "live.toml"))
        assert done.returncode == 1
        assert "camera 'north' is live: that needs a signed authorisation" in done.stderr
