"""The networks that ship with pylfr work right after installation, and state their purpose."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pylfr.deployment.open import open_rehearsal
from pylfr.errors import ModelError
from pylfr.faces.detect import open_detector
from pylfr.models.store import ModelStore, Places, open_store
from tests.cli.command import pylfr
from tests.footage import BOTH, MAN, TRUTH, WALKING, WALKING_AND_PAUSE, WOMAN, picture_of, save_references, video

NAMES = ("pylfr_nano_detect", "pylfr_nano_embed")


@pytest.fixture
def nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which only the package is."""
    monkeypatch.delenv("PYLFR_MODELS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.mark.usefixtures("nothing_else")
def test_the_shipped_pair_is_found_verified_and_small() -> None:
    models = [open_store().resolve(name) for name in NAMES]
    assert sum(model.path.stat().st_size for model in models) < 6_500_000
    for model in models:
        assert model.manifest.licence.commercial_use
        assert model.manifest.source.size_bytes == model.path.stat().st_size
        assert (Path(__file__).parents[2] / model.manifest.source.page).is_file()


@pytest.mark.usefixtures("nothing_else")
@pytest.mark.parametrize("name", NAMES)
def test_show_prints_the_warning_and_the_essentials(name: str) -> None:
    done = pylfr("models", "show", name)
    assert done.returncode == 0
    for words in ("warning", "Apache-2.0", "docs/models", "LFW"):
        assert words in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_a_corrupted_shipped_file_is_refused_by_name(name: str, tmp_path: Path) -> None:
    places = open_store().places
    assert places.shipped is not None
    shutil.copytree(places.shipped, tmp_path / "shipped")
    path = tmp_path / "shipped" / f"{name}.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    store = ModelStore(
        Places(
            catalogue=places.catalogue,
            own=None,
            cache=tmp_path / "cache",
            config=tmp_path / "config",
            shipped=tmp_path / "shipped",
        )
    )
    with pytest.raises(ModelError, match=rf"{name}.onnx must have sha256 .*reinstall pylfr"):
        store.resolve(name)


@pytest.mark.usefixtures("nothing_else")
def test_the_shipped_pair_gives_the_right_alerts_and_no_wrong_one(media_dir: Path, tmp_path: Path) -> None:
    videos = [video(media_dir, name) for name in (WALKING_AND_PAUSE, WALKING, WOMAN, MAN, BOTH)]
    engine = open_rehearsal(videos, save_references(media_dir, tmp_path), detector=NAMES[0], embedder=NAMES[1])
    alerts = {(recorded.value.entry, recorded.value.camera) for recorded in engine.run()}
    assert alerts == TRUTH


@pytest.mark.usefixtures("nothing_else")
def test_the_shipped_detector_finds_every_face_of_a_small_group(media_dir: Path) -> None:
    pictures = [picture_of(video(media_dir, WALKING_AND_PAUSE), 30), picture_of(video(media_dir, BOTH), 30)]
    assert open_detector(NAMES[0]).detect(pictures).frame_index.tolist() == [0, 0, 0, 1, 1]
