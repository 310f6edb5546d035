"""What README.md shows works, and its measured table is the one that the results files give."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pylfr
from pylfr.video.decoding.image_io import write_jpeg
from tests.footage import WALKING_AND_PAUSE, picture_of, video

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_of_the_readme_runs(media_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [code] = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    stills, engine = code.split("\nengine = ")
    write_jpeg(tmp_path / "group.jpg", picture_of(video(media_dir, WALKING_AND_PAUSE), 30))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(stills, names)
    assert isinstance(names["templates"], pylfr.Templates)
    assert len(names["templates"]) == 3
    assert np.allclose(np.linalg.norm(names["templates"].vectors, axis=1), 1, atol=1e-5)
    compile("engine = " + engine, "README.md", "exec")


def test_every_public_name_is_there_and_documented() -> None:
    for name in pylfr.__all__:
        assert getattr(pylfr, name).__doc__, name


def test_the_measured_table_is_the_newest() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.tables", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_repository_holds_no_weights_but_its_own_and_no_footage() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not tracked:
        pytest.skip("this is no git checkout: nothing to list")
    networks = {name for name in tracked if Path(name).suffix in {".onnx", ".pt", ".mp4", ".jpg"}}
    assert networks == {f"pylfr/models/shipped/pylfr_nano_{task}.onnx" for task in ("detect", "embed")}
