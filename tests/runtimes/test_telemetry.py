"""Telemetry is off in every process that runs a network; a library that was imported too early is a warning."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def python(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )


@pytest.mark.parametrize("library", ["onnxruntime", "openvino"])
def test_a_library_that_pylfr_imports_leaves_nothing_in_the_home(library: str, tmp_path: Path) -> None:
    pytest.importorskip(library)
    runtime = "onnx" if library == "onnxruntime" else library
    python(f"import pylfr; pylfr.open_detector('pylfr_nano_detect', runtime={runtime!r})", tmp_path)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(("library", "name"), [("onnxruntime", "onnxruntime"), ("openvino_telemetry", "OpenVINO")])
def test_a_library_that_was_imported_first_is_a_warning(library: str, name: str, tmp_path: Path) -> None:
    code = (
        "import logging, sys, types; logging.basicConfig()\n"
        f"sys.modules[{library!r}] = types.ModuleType({library!r})\n"
        "import pylfr.runtimes"
    )
    assert f"{name} was imported before pylfr, with its telemetry on" in python(code, tmp_path).stderr
