"""The session on a GPU names what it lacks before it works, and passes nothing that did not run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_session.sh"


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder of tools that pretend: a GPU, a compiler, and a Python without any module."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name, does in (
        ("nvidia-smi", 'echo "Made-up GPU, 1.0, 1 MiB, 9.0"'),
        ("nvcc", "exit 0"),
        ("ninja", "exit 0"),
        ("cmake", "echo cmake must not run; exit 1"),
        ("python3", 'echo "missing: pydantic" >&2; exit 1'),
    ):
        tool = folder / name
        tool.write_text(f"#!/bin/sh\n{does}\n")
        tool.chmod(0o755)
    for name in ("bash", "sh", "cat", "tee", "tail", "mkdir", "mktemp", "rm", "cp", "dirname", "timeout"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def session(tools: Path, *given: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = {"PATH": str(tools), "TMPDIR": str(tools.parent), "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [str(tools / "bash"), str(SCRIPT), *given],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**path, **environment},
    )


def test_everything_that_is_missing_is_named_at_once_and_nothing_runs(tools: Path, tmp_path: Path) -> None:
    for name in ("nvcc", "ninja"):
        (tools / name).unlink()
    (tools / "nvidia-smi").write_text("#!/bin/sh\necho No devices were found >&2\nexit 6\n")
    done = session(tools, str(tmp_path / "out"), PYLFR_WHEELS=str(tmp_path / "none"))
    assert done.returncode == 1
    written = (tmp_path / "out" / "results.txt").read_text()
    assert written == done.stdout
    assert [line.split(": ", 1)[1].split()[0] for line in written.splitlines() if line.startswith("missing: ")] == [
        "nvcc",
        "ninja",
        "a",
        "wheels",
    ]
    assert "no GPU: nvidia-smi lists none" in written
    assert "nothing was run" in written


def test_an_empty_list_of_gpus_is_no_gpu(tools: Path, tmp_path: Path) -> None:
    (tools / "nvidia-smi").write_text("#!/bin/sh\nexit 0\n")
    done = session(tools, str(tmp_path / "out"))
    assert done.returncode == 1
    assert "missing: a GPU (or PYLFR_CUDA_ARCHITECTURES" in done.stdout


def test_a_python_that_lacks_modules_ends_the_session_before_it_compiles(tools: Path, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "other-1-cp39-none-any.whl").write_bytes(b"")
    done = session(tools, str(tmp_path / "out"), PYLFR_WHEELS=str(wheels))
    assert done.returncode == 1
    assert "== the GPU: Made-up GPU, 1.0, 1 MiB, 9.0" in done.stdout
    assert f"not installed: {wheels}/other-1-cp39-none-any.whl" in done.stdout
    assert "missing: pydantic" in done.stdout
    assert "Python lacks what must be here" in done.stdout
    assert "cmake must not run" not in done.stdout


def test_a_session_without_time_runs_nothing_and_says_so(tools: Path, tmp_path: Path) -> None:
    done = session(tools, str(tmp_path / "out"), PYLFR_SECONDS="4")
    assert done.returncode == 1
    assert "-- modules that Python has: not run, the session's 4 s are over" in done.stdout


@pytest.mark.parametrize(
    ("given", "environment", "words"),
    [
        (["--quick"], {}, "takes a folder, got the option --quick"),
        (["a", "b"], {}, "takes one folder, got 2: a b"),
        ([], {"PYLFR_SECONDS": "soon"}, "PYLFR_SECONDS must be a whole number of seconds, got soon"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    tools: Path, given: list[str], environment: dict[str, str], words: str
) -> None:
    done = session(tools, *given, **environment)
    assert done.returncode == 2
    assert words in done.stderr


def test_help_names_every_variable(tools: Path) -> None:
    done = session(tools, "--help")
    assert done.returncode == 0
    for name in ("PYLFR_WHEELS", "PYLFR_MODELS", "PYLFR_MEDIA", "PYLFR_CUDA_ARCHITECTURES", "PYLFR_SECONDS"):
        assert name in done.stdout
