"""The session on a GPU names what it lacks before it works, passes nothing that did not run, and is rehearsed whole."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.devices import ONLY_ON_THE_STAND_IN

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_session.sh"


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder of tools that pretend: a GPU, a compiler, and a Python without any module."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name, does in (
        ("nvidia-smi", 'echo "Stand-in GPU, 1.0, 1 MiB, 9.0"'),
        ("nvcc", "exit 0"),
        ("ninja", "exit 0"),
        ("cmake", "echo cmake must not run; exit 1"),
        ("python3", 'echo "missing: pydantic" >&2; exit 1'),
    ):
        tool = folder / name
        tool.write_text(f"#!/bin/sh\n{does}\n")
        tool.chmod(0o755)
    for name in (
        "bash",
        "sh",
        "cat",
        "tee",
        "tail",
        "mkdir",
        "mktemp",
        "rm",
        "cp",
        "dirname",
        "timeout",
        "grep",
        "find",
        "mv",
    ):
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
    done = session(tools, str(tmp_path / "out"), PYLFR_BUNDLE=str(tmp_path / "none"))
    assert done.returncode == 1
    written = (tmp_path / "out" / "results.txt").read_text()
    assert written == done.stdout
    assert [line.split(": ", 1)[1].split()[0] for line in written.splitlines() if line.startswith("missing: ")] == [
        "a",
        "nvcc,",
        "ninja,",
    ]
    assert "a GPU: nvidia-smi lists none" in written
    assert "or a core in the bundle" in written
    assert "nothing was run" in written


def test_a_bundle_with_a_core_needs_no_compiler(tools: Path, tmp_path: Path) -> None:
    for name in ("nvcc", "ninja", "cmake"):
        (tools / name).unlink()
    core = tmp_path / "bundle" / "core"
    core.mkdir(parents=True)
    (core / "_core.so").write_bytes(b"")
    done = session(tools, "depth", str(tmp_path / "out"), PYLFR_BUNDLE=str(tmp_path / "bundle"))
    assert done.returncode == 1
    assert "nothing was run" not in done.stdout
    assert "missing: pydantic" in done.stdout
    assert "Python lacks what must be installed" in done.stdout
    assert "cmake must not run" not in done.stdout


def test_an_empty_list_of_gpus_is_no_gpu(tools: Path, tmp_path: Path) -> None:
    (tools / "nvidia-smi").write_text("#!/bin/sh\nexit 0\n")
    done = session(tools, str(tmp_path / "out"))
    assert done.returncode == 1
    assert "missing: a GPU: nvidia-smi lists none" in done.stdout


def test_a_plan_without_time_runs_nothing_and_says_so(tools: Path, tmp_path: Path) -> None:
    done = session(tools, str(tmp_path / "out"), PYLFR_SECONDS="4")
    assert done.returncode == 1
    assert "-- modules that Python has: not run, the plan's 4 s are over" in done.stdout


@pytest.mark.parametrize(("plan", "seconds"), [("proof", 300), ("depth", 330)])
def test_the_steps_that_always_run_fit_in_their_plan(tools: Path, plan: str, seconds: int) -> None:
    done = session(tools, "--list", plan)
    assert done.returncode == 0, done.stderr
    first, *steps = done.stdout.splitlines()
    assert first == f"{plan}, {seconds} s:"
    needed = [int(line.split()[0]) for line in steps if not any(each in line for each in ("compile", "tensorrt"))]
    assert sum(needed) <= seconds + 80, "limits are no measurements, but a plan of much more than its time is none"
    assert not (tools.parent / "gpu-results").exists()


def test_where_time_is_short_steps_are_chosen_by_their_names(tools: Path) -> None:
    done = session(tools, "--list", "proof", PYLFR_STEPS="^kernels$|NVDEC")
    assert done.returncode == 0, done.stderr
    named = [line.split("at most  ")[1] for line in done.stdout.splitlines()[1:]]
    assert named[-2:] == ["kernels", "NVDEC"]
    assert "modules that Python has" in named, "what everything needs is not left out"
    assert "simulated cameras" not in named


@pytest.mark.slow
@pytest.mark.usefixtures("models_dir", "media_dir")
@pytest.mark.parametrize("plan", ["proof", "depth"])
def test_every_step_runs_where_a_cpu_plays_the_device(tools: Path, tmp_path: Path, plan: str) -> None:
    """The rehearsal: the script, the tests and the benchmark as on a GPU, with kernels run by a CPU."""
    built = SCRIPT.parents[1] / "build" / "stand-in" / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not built.exists():
        pytest.skip("the CUDA half was not compiled for a CPU that plays a device: make stand-in")
    core = tmp_path / "bundle" / "core"
    core.mkdir(parents=True)
    shutil.copy(built, core)
    # Without what an editable installation hooks in, which would find its own core and not the bundle's.
    packages = sysconfig.get_paths()["purelib"]
    (tools / "python3").write_text(
        f'#!/bin/sh\nPYTHONPATH="${{PYTHONPATH:+$PYTHONPATH:}}{packages}" exec {sys.executable} -S "$@"\n'
    )
    for tool in ("compute-sanitizer", "ncu"):
        # As the tool: its own options, then the program that it looks into.
        (tools / tool).write_text('#!/bin/sh\nwhile [ "$1" != python3 ]; do shift; done\nexec "$@"\n')
        (tools / tool).chmod(0o755)
    out = tmp_path / "out"
    done = subprocess.run(
        [str(tools / "bash"), str(SCRIPT), plan, str(out)],
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
        env={
            **os.environ,
            "PATH": f"{tools}:/usr/bin:/bin",
            "PYLFR_BUNDLE": str(core.parent),
            "PYLFR_CUDA_STAND_IN": "1",
            "PYLFR_QUICK": "1",
            "PYLFR_SLOWER": "20",
        },
    )
    written = (out / "results.txt").read_text()
    assert done.returncode == 0, written[-6000:]
    assert "all that must pass passed" in written
    assert ": not run," not in written
    assert "(stopped" not in written
    assert "(this step may fail)" not in written, written[-6000:]
    measured = json.loads((out / f"gpu-{plan}.json").read_text())["results"]
    assert measured["device"] == "cuda"
    if plan == "proof":
        assert {search["index"] for search in measured["searches"]} >= {"device-int8", "native, on the CPU"}
        assert measured["loads"]
        assert "-- kernels: exit 0" in written
        assert ONLY_ON_THE_STAND_IN not in written, "no other run has the stand-in's own tests"


@pytest.mark.parametrize(
    ("given", "environment", "words"),
    [
        (["--quick"], {}, "takes a plan and a folder, got the option --quick"),
        (["a", "b"], {}, "takes a plan, proof or depth, and one folder, got 2: a b"),
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
    for name in (
        "PYLFR_BUNDLE",
        "PYLFR_QUICK",
        "PYLFR_MODELS",
        "PYLFR_MEDIA",
        "PYLFR_CUDA_ARCHITECTURES",
        "PYLFR_SECONDS",
        "PYLFR_STEPS",
    ):
        assert name in done.stdout
