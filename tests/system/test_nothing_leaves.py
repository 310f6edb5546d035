"""Nothing leaves that was not named: the system calls of ``pylfr try`` and ``pylfr run``, watched with strace.

No name is looked up, no socket to another process or machine is opened, and no file is written outside the folders
that the command line and the deployment name.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.gallery.watchlist.watchlist import create_watchlist
from pylfr.video.decoding.image_io import read_image
from tests.cli.command import PYLFR
from tests.deployment_text import LINES, PLAIN_LOG, deployment_text, permit_text
from tests.footage import MAN, save_references, video

pytestmark = [
    pytest.mark.usefixtures("models_dir"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

# Where anything may be written: it holds nothing, or is the process's own.
_NO_FILES = ("/dev/null", "/proc/", "/dev/shm/")
_EXECVE = re.compile(r'execve\("([^"]*)".* = 0$')


def watched(arguments: list[str | Path], folder: Path, home: Path) -> list[str]:
    """The system calls of ``pylfr`` and its children that open, make, look up or connect."""
    trace = home.parent / "trace.txt"
    done = subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-qq", "-s", "400", "-o", str(trace),
         "-e", "trace=socket,connect,bind,sendto,sendmsg,sendmmsg,openat,open,creat,mkdir,mkdirat,rename,renameat,"
         "renameat2,execve", str(PYLFR), *map(str, arguments)],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYLFR_MODELS": os.environ["PYLFR_MODELS"],
            "HOME": str(home),
            "TMPDIR": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return trace.read_text(encoding="utf-8", errors="replace").splitlines()


def outgoing(calls: list[str]) -> list[str]:
    """Calls that look up a host, open a socket to a machine, or connect to another process."""
    refused = [call for call in calls if "socket(AF_INET," in call and "EPERM" in call]
    return [
        call
        for call in calls
        if re.search(r"\b(connect|bind|sendmmsg)\(|socket\((?!AF_UNIX)|/etc/(resolv\.conf|hosts)", call)
        # Python's start asks for this user's home, by way of a cache of the user database where there is one; and the
        # confined decoder tries at its start whether it can open a socket, and must be refused.
        and "/var/run/nscd/socket" not in call
        and call not in refused
    ]


def written(calls: list[str]) -> Iterator[str]:
    """Paths that were opened for writing, made or renamed."""
    for call in calls:
        if " = -1 " in call or not re.search(r"O_WRONLY|O_RDWR|O_CREAT|mkdir|rename|creat\(", call):
            continue
        yield from re.findall(r'"([^"]*)"', call)


def programs(calls: list[str]) -> set[str]:
    """Names of the programs that were started."""
    return {Path(match[1]).name for call in calls if (match := _EXECVE.search(call))}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deployment").mkdir()
    return tmp_path / "deployment"


def try_once(folder: Path, media: Path, runtime: str) -> list[str | Path]:
    man = save_references(media, folder)["man"][0]
    return ["try", video(media, MAN), "--person", f"B={man}", "--runtime", runtime, "--out", "evidence",
            "--json", "alerts.jsonl"]  # fmt: skip


def run_once(folder: Path, media: Path, runtime: str) -> list[str | Path]:
    embedder = open_embedder("face_reid_0095")
    with create_watchlist(folder / "square.watchlist", embedder) as watchlist:
        man = read_image(save_references(media, folder)["man"][0])
        watchlist.enrol("man", man, detector=open_detector("yunet_n"), embedder=embedder)
    open_evidence = '[[sinks]]\ntype = "evidence"\nfolder = "evidence"\n'
    text = deployment_text(
        permit_text(), PLAIN_LOG, LINES, open_evidence, cameras={"north": video(media, MAN)}, runtime=runtime
    )
    (folder / "deployment.toml").write_text(text)
    return ["run", "deployment.toml"]


@pytest.mark.parametrize(
    ("command", "runtime"),
    [
        (try_once, "onnx"),
        (run_once, "onnx"),
        (try_once, "openvino"),
        pytest.param(try_once, "torch", marks=pytest.mark.slow),
    ],
)
def test_nothing_is_looked_up_connected_or_written_that_was_not_named(
    command: Callable[[Path, Path, str], list[str | Path]], runtime: str, folder: Path, home: Path, media_dir: Path
) -> None:
    if runtime != "onnx" and find_spec(runtime) is None:
        pytest.skip(f"{runtime} is not installed")
    calls = watched(command(folder, media_dir, runtime), folder, home)
    assert outgoing(calls) == []
    elsewhere = {
        path
        for path in written(calls)
        if not (folder / path).resolve().is_relative_to(folder) and not path.startswith(_NO_FILES)
    }
    assert elsewhere == set()
    assert list(home.rglob("*")) == []
    # The confined decoder is our own Python; PyTorch asks the linker where libraries are.
    own = {"pylfr", "python", Path(sys.executable).name} | ({"ldconfig"} if runtime == "torch" else set())
    assert programs(calls) <= own
    assert (folder / ("audit.log" if command is run_once else "alerts.jsonl")).stat().st_size > 0


def test_the_watch_would_see_a_name_that_is_looked_up_and_a_file_in_the_home(folder: Path, home: Path) -> None:
    code = (
        "import socket, pathlib, os\n"
        "pathlib.Path.home().joinpath('seen').write_text('x')\n"
        "try: socket.getaddrinfo('collector.invalid', 443)\n"
        "except OSError: pass\n"
    )
    trace = home.parent / "trace.txt"
    subprocess.run(
        ["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=socket,connect,openat", sys.executable, "-c", code],
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        cwd=folder,
        check=True,
        timeout=60,
    )
    calls = trace.read_text(encoding="utf-8").splitlines()
    assert outgoing(calls)
    assert str(home / "seen") in set(written(calls))
