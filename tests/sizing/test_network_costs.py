"""Costs are measured where a network is installed, and follow from those where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylfr.errors import MediaError
from pylfr.models.measured import read_measured
from pylfr.models.store import open_store
from pylfr.sizing.load import Setting
from pylfr.sizing.network_costs import measure_costs


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which only the package is."""
    monkeypatch.delenv("PYLFR_MODELS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_installed_networks_are_run_and_the_others_scaled(setting: Setting) -> None:
    measured = read_measured()
    run: list[str] = []
    costs = measure_costs(setting.video, measured, open_store(), runtime="onnx", on_network=run.append)
    assert run == ["pylfr_nano_detect", "pylfr_nano_embed"]
    assert costs.timed == set(run)
    assert costs.decode_ms > 0
    there = {pair.embedder: pair.embed_ms for pair in measured.pairs}
    speed = costs.embed_ms["pylfr_nano_embed"] / there["pylfr_nano_embed"]
    assert costs.embed_ms == pytest.approx({name: ms * speed for name, ms in there.items()})
    assert costs.detect_ms.keys() == {pair.detector for pair in measured.pairs}


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.mp4").write_bytes(b"no video")
    with pytest.raises(MediaError, match=r"none\.mp4 cannot be read"):
        measure_costs(tmp_path / "none.mp4", read_measured(), open_store(), runtime="onnx")
