"""README.md is short, its links work, and the measured page is the one that the results files give."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import pylfr

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    assert len(re.sub(r"<!--.*?-->", "", README).split()) < 600
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if not target.startswith("https://"):
            assert (ROOT / target).exists(), target


def test_every_public_name_is_there_and_documented() -> None:
    for name in pylfr.__all__:
        assert getattr(pylfr, name).__doc__, name


def test_the_page_of_benchmarks_is_the_newest() -> None:
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
