"""A deployment opens everything once, with the passphrases that it names, and a failure leaves nothing open."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.governed import make_deployments
from pylfr.deployment.authorise import require_authorised
from pylfr.deployment.config import Deployment, read_deployment
from pylfr.deployment.open import open_engine
from pylfr.deployment.resources import open_resources
from pylfr.errors import AuthorisationError, ConfigError, MediaError, PylfrError, SinkError
from pylfr.governance.keys.keys import make_key, read_public_key
from pylfr.sizing.footage import ClipRules, find_portraits, make_clip
from pylfr.video.decoding.image_io import write_png
from tests.deployment_text import SIGNED_DEPLOYMENT
from tests.open_files import nothing_left_open

ROOT = Path(__file__).parents[2]


def deployment(folder: Path, *, passphrase: str | None) -> Deployment:
    make_key(folder / "record.key", passphrase="correct horse")
    text = SIGNED_DEPLOYMENT
    if passphrase is not None:
        text = text.replace('key = "record.key"\n', f'key = "record.key"\npassphrase = "{passphrase}"\n')
    (folder / "deployment.toml").write_text(text)
    return read_deployment(folder / "deployment.toml")


def test_the_passphrase_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = deployment(tmp_path, passphrase="${RECORD_PASSPHRASE}")
    with pytest.raises(ConfigError, match=r"\$\{RECORD_PASSPHRASE\}, which is not set"):
        open_resources(opened).audit  # noqa: B018 - opening it is what fails
    monkeypatch.setenv("RECORD_PASSPHRASE", "battery")
    with pytest.raises(AuthorisationError, match="its passphrase is another"):
        open_resources(opened).audit  # noqa: B018 - opening it is what fails
    monkeypatch.setenv("RECORD_PASSPHRASE", "correct horse")
    with open_resources(opened) as resources:
        assert resources.audit is resources.audit
        key = resources.record_key
    assert key is not None
    assert key.public == read_public_key(tmp_path / "record.pub")
    assert b"ENCRYPTED" in (tmp_path / "record.key").read_bytes()


def test_a_key_under_a_passphrase_is_not_opened_without_it(tmp_path: Path) -> None:
    opened = deployment(tmp_path, passphrase=None)
    with pytest.raises(AuthorisationError, match="is under a passphrase, and none was given"):
        open_resources(opened).audit  # noqa: B018 - opening it is what fails
    assert not (tmp_path / "audit.log").exists()


@pytest.fixture(scope="module")
def governed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed and sealed deployment of one recording, under uk-police, that does not poll its watchlist meanwhile."""
    if os.geteuid() != 0:
        pytest.skip("the root of trust must belong to another user, which root alone can arrange (unshare -r pytest)")
    folder = tmp_path_factory.mktemp("governed")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYLFR_MEDIA", raising=False)
        portraits = find_portraits(None, count=1)
    clip = make_clip(ClipRules(faces=1, seconds=1, width=640, height=360), portraits, folder=folder)
    write_png(folder / "reference.png", portraits.pictures[0])
    deployments = make_deployments(
        folder,
        [clip],
        {"REF-1": folder / "reference.png"},
        detector="pylfr_nano_detect",
        embedder="pylfr_nano_embed",
        runtime="onnx",
        threshold=0.5,
        batch_size=4,
        poll_ms=60_000,
    )
    return deployments["process"]


def test_from_the_deployment_file_to_the_first_batch_each_file_is_opened_once(governed: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.deployment.count_opens", governed],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    opened = {Path(name): count for name, count in json.loads(done.stdout.splitlines()[-1]).items()}
    own = {path.name: count for path, count in opened.items() if path.is_relative_to(governed.parent)}
    # Beside the audit log: the lock of the run, and what the clocks said at the last start, before and after. The key
    # of the evidence is written whole.
    beside = {name: own.pop(name) for name in list(own) if name.startswith(".")}
    assert len(beside) == 4
    assert set(beside.values()) == {1}
    # A recording is checked before the run, and played in it.
    [recording] = [name for name in own if name.endswith(".mp4")]
    assert own.pop(recording) == 2
    # A database is made for its owner alone before it is opened.
    assert own.pop("records.sqlite") == 2
    assert set(own) == {
        "process.toml", "record.key", "audit.log", "checkpoints", "square.sealed", "square.key",
        "authorisation.json", "officer.pub", "trusted.toml", "ann.pub", "bob.pub", "calibration.json", "cohorts.json",
    }  # fmt: skip
    assert {name: count for name, count in own.items() if count != 1} == {}
    assert sum(path.name == "uk-police.toml" for path in opened) == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (("threshold = 0.5", "threshold = 0.4"), AuthorisationError),
        (('file = "square.sealed"', 'file = "another.sealed"'), PylfrError),
        (("[[cameras]]", '[[cameras]]\nname = "gone"\nsource = "gone.mp4"\n[[cameras]]'), (MediaError, PylfrError)),
    ],
)
def test_a_start_that_fails_at_any_part_leaves_nothing_open(
    governed: Path, change: tuple[str, str], error: type[PylfrError]
) -> None:
    path = governed.with_name("changed.toml")
    text = governed.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    with nothing_left_open(), pytest.raises(error):
        open_engine(path, debuggable=True)


def test_a_sink_that_cannot_be_opened_leaves_nothing_open(governed: Path) -> None:
    folder = governed.parent / "process" / "evidence"
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("no folder")
    try:
        with nothing_left_open(), pytest.raises(SinkError):
            open_engine(governed, debuggable=True)
    finally:
        folder.unlink()


def test_an_engine_that_is_opened_and_never_run_is_closed_with_all_that_it_owns(governed: Path) -> None:
    with nothing_left_open(), open_engine(governed, debuggable=True) as engine:
        assert engine.summary().frames == 0


def test_whoever_asks_twice_is_given_the_same(governed: Path) -> None:
    with nothing_left_open(), open_resources(governed) as resources:
        assert require_authorised(resources).contents is resources.watchlist.contents
        for name in ("audit", "records", "signed", "watchlist_key", "watchlist", "calibration"):
            assert getattr(resources, name) is getattr(resources, name)
