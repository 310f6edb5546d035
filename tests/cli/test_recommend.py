"""``pylfr models recommend`` as a user runs it, on a machine that has the package alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import pylfr


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PYLFR_MODELS", "PYLFR_MEDIA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.mark.usefixtures("alone")
def test_the_answer_names_a_pair_its_licence_its_accuracy_and_its_cameras(tmp_path: Path) -> None:
    done = pylfr("models", "recommend", "--runtime", "onnx", "--json", tmp_path / "pair.json")
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    assert first.startswith("Take ")
    assert "Apache-2.0" in first
    record = json.loads((tmp_path / "pair.json").read_text())
    assert record["answer"] == first
    shipped = next(each for each in record["offers"] if each["detector"] == "pylfr_nano_detect" and not each["missing"])
    assert shipped["capacity"]["basis"] == "measured"
    row = next(line for line in rest if line.startswith("pylfr_nano_detect  pylfr_nano_embed"))
    assert f"{shipped['search']['tpir']:.1%}" in row
    refused = [each for each in record["offers"] if not each["commercial_use"]]
    assert refused
    assert {each["why_not"] for each in refused} == {"not for commercial use"}
    if record["take"]["missing"]:
        assert f"To get {record['take']['missing'][0]}: get " in done.stdout
        assert "Until then, of what is installed: " in done.stdout
    assert "not measured by pylfr, so not compared: " in done.stderr


@pytest.mark.usefixtures("alone")
def test_more_cameras_than_any_pair_allows_end_with_status_1() -> None:
    done = pylfr("models", "recommend", "--runtime", "onnx", "--cameras", "100000")
    assert done.returncode == 1
    assert done.stdout.startswith("No measured pair of networks fits; ")


@pytest.mark.usefixtures("alone")
def test_a_result_that_is_no_sizing_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "size.json").write_text("{}")
    done = pylfr("models", "recommend", "--sizing", tmp_path / "size.json")
    assert done.returncode == 1
    assert "must be what `pylfr size --json` wrote" in done.stderr
    assert done.stderr.count("\n") == 1
