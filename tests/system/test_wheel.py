"""A newcomer with an empty environment and no compiler: wheel installed, three lines, a picture drawn."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import pylfr
from tests.docs.page import ROOT

TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"
LINES = """
import pylfr
faces = pylfr.open_face_analysis().get("group.jpg")
faces.draw().save("faces.png")
print(len(faces), pylfr.__version__, pylfr.__file__)
"""


@pytest.fixture(scope="module")
def wheel() -> Path:
    """The repaired wheel of this version for this Python, from ``make wheels``."""
    found = sorted((ROOT / "dist").glob(f"pylfr-{pylfr.__version__}-{TAG}-{TAG}-manylinux*.whl"))
    if not found:
        pytest.skip(f"dist/ has no wheel of {pylfr.__version__} for {TAG}: make wheels")
    newest = max(path.stat().st_mtime for folder in ("pylfr", "csrc") for path in (ROOT / folder).rglob("*.[pch]*"))
    if found[-1].stat().st_mtime < newest and os.environ.get("CI") != "true":
        pytest.skip("the wheel in dist/ is older than the sources: make wheels")
    return found[-1]


def test_a_wheel_holds_the_core_the_networks_and_the_profiles_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert f"pylfr/_core{sysconfig.get_config_var('EXT_SUFFIX')}" in names
    for name in (
        "models/shipped/pylfr_nano_detect.onnx", "models/shipped/pylfr_nano_embed.onnx",
        "models/catalogue/yunet_n.toml", "governance/profiles/uk-police.toml", "py.typed", "_core.pyi",
    ):  # fmt: skip
        assert f"pylfr/{name}" in names
    strange = [
        name for name in names if not re.match(rf"pylfr/|pylfr-{re.escape(pylfr.__version__)}\.dist-info/", name)
    ]
    assert strange == []


def test_a_wheel_is_small_enough_to_be_fetched_by_everybody(wheel: Path) -> None:
    assert wheel.stat().st_size < 9_000_000


@pytest.mark.slow
def test_a_wheel_works_in_an_empty_environment_without_a_compiler(wheel: Path, street: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty" / "bin" / "python"
    # No compiler, and no pylfr but the wheel's: not even the name of another folder.
    environment = {"PATH": str(python.parent), "HOME": str(tmp_path), "CC": "/nonexistent", "CXX": "/nonexistent"}
    environment |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", wheel],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run(
        [python, "-c", LINES], cwd=street, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    count, version, place = done.stdout.split()
    assert (count, version) == ("2", pylfr.__version__)
    assert place.startswith(str(tmp_path))
    assert (street / "faces.png").read_bytes().startswith(b"\x89PNG")
    shown = subprocess.run(
        [python.parent / "pylfr", "--version"], env=environment, capture_output=True, text=True, check=False
    )
    assert shown.stdout == f"pylfr {pylfr.__version__}\n"


def test_the_source_distribution_holds_what_a_build_needs() -> None:
    path = ROOT / "dist" / f"pylfr-{pylfr.__version__}.tar.gz"
    if not path.exists():
        pytest.skip("dist/ has no source distribution: make wheels")
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    for name in (
        "CMakeLists.txt",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "csrc/bindings/module.cpp",
        "pylfr/types.py",
    ):
        assert name in names
    assert not any(name.endswith((".so", ".mp4", ".jpg")) for name in names)
