"""After its batch a probe's template is nowhere: not in memory, not on disk, not in a log."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.governance.canary import DIMENSION, SIDE, sign

WINDOW = 16


def needles() -> dict[str, bytes]:
    """The template in windows of 16 numbers, in each precision that a stage might keep."""
    found: dict[str, bytes] = {}
    for kind in (np.float32, np.float16, np.float64):
        vector = np.array([sign(index) * SIDE for index in range(DIMENSION)], kind)
        for start in range(0, DIMENSION, WINDOW):
            found[f"{np.dtype(kind).name} from {start}"] = vector[start : start + WINDOW].tobytes()
    return found


NEEDLES = needles()
# One pattern for all, searched for in the whole memory of processes. It begins with no zero: memory is full of those.
ANY_NEEDLE = re.compile(b"|".join(re.escape(needle.lstrip(b"\0")) for needle in NEEDLES.values()))


def memory_of(process: int) -> Iterator[bytes]:
    """Everything that a process can read of itself."""
    with Path(f"/proc/{process}/maps").open() as maps, Path(f"/proc/{process}/mem").open("rb", 0) as memory:
        for line in maps:
            span, permissions, *_ = line.split()
            if not permissions.startswith("r") or line.rstrip().endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            begin, end = (int(side, 16) for side in span.split("-"))
            try:
                memory.seek(begin)
                yield memory.read(end - begin)
            except (OSError, ValueError, OverflowError):
                continue


def processes(process: int) -> Iterator[int]:
    """A process and all that it started."""
    yield process
    for thread in Path(f"/proc/{process}/task").iterdir():
        for child in (thread / "children").read_text().split():
            yield from processes(int(child))


def copies(process: int) -> int:
    return sum(holds_template(part) for part in memory_of(process))


def holds_template(content: bytes) -> bool:
    return ANY_NEEDLE.search(content) is not None


def run(folder: Path, *arguments: str) -> tuple[list[list[int]], str, str]:
    """How many copies each process had at each pause, the engine first, and what was said on stdout and stderr."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.governance.canary", str(folder), *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    ) as program:  # fmt: skip
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stderr is not None
        counted: list[list[int]] = []
        said = ""
        for line in program.stdout:
            said += line
            if line in ("between\n", "after\n"):
                counted.append([copies(each) for each in processes(program.pid)])
                program.stdin.write("go on\n")
                program.stdin.flush()
        errors = program.stderr.read()
        assert program.wait(60) == 0, errors
    return counted, said, errors


def test_no_template_is_left_in_memory_on_disk_or_in_a_log(tmp_path: Path) -> None:
    counted, said, errors = run(tmp_path)
    assert len(counted) >= 2, "there must have been an alert between batches, and an end"
    assert counted == [[0]] * len(counted)
    summary = json.loads(said.splitlines()[-2])
    assert summary["dwell_ms"]["count"] == summary["recognised"] > 0
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or not holds_template(path.read_bytes())
    assert not holds_template((said + errors).encode())


def test_the_search_finds_a_copy_that_a_careless_stage_would_keep(tmp_path: Path) -> None:
    counted, _, _ = run(tmp_path, "leak")
    assert all(count > 0 for [count] in counted)


def test_no_template_is_in_the_process_that_decodes(tmp_path: Path) -> None:
    counted, _, _ = run(tmp_path, "isolated")
    assert counted[0] == [0, 0], "the engine and its decoder, after the first alert"
    assert not any(map(sum, counted))


def test_the_search_finds_a_copy_in_the_process_that_decodes(tmp_path: Path) -> None:
    counted, _, _ = run(tmp_path, "leak-there")
    assert counted[0][0] == 0
    assert counted[0][1] > 0


@pytest.mark.parametrize("name", ["float32 from 0", "float16 from 48", "float64 from 16"])
def test_the_pattern_knows_every_precision(name: str) -> None:
    assert holds_template(b"xx" + NEEDLES[name] + b"xx")
    assert not holds_template(b"xx" + NEEDLES[name][:-1] + b"\1")
