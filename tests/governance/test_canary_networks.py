"""With real networks on real footage: no number of a template, of unit length or before, is left in memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pylfr.types import Float32, UInt8
from tests.footage import WALKING_AND_PAUSE, save_references, video
from tests.governance.test_canary import memory_of

pytestmark = pytest.mark.usefixtures("models_dir")

DIMENSIONS = {"face_reid_0095": 256, "mobilefacenet_y1": 128}
WINDOW = 16


def in_every_precision(numbers: Float32) -> Iterator[bytes]:
    """As a stage might keep them: float32, float16, float64, and bfloat16, rounded and cut."""
    for kind in (np.float32, np.float16, np.float64):
        yield numbers.astype(kind).tobytes()
    bits = numbers.view(np.uint32)
    yield (bits >> 16).astype(np.uint16).tobytes()
    yield (bits + 0x7FFF + (bits >> 16 & 1) >> 16).astype(np.uint16).tobytes()


class Needles:
    """Windows of 16 numbers of every template, in every precision that a stage might keep."""

    def __init__(self, rows: Float32) -> None:
        windows = rows.reshape(len(rows), -1, WINDOW)[:, ::4].reshape(-1, WINDOW)
        windows = windows[np.count_nonzero(windows, axis=1) == WINDOW]
        assert len(windows) >= len(rows)
        self._wanted = {bits for each in windows for bits in in_every_precision(each)}
        # The second word of each: the first of a float64 that was a float32 is nearly always zero, as memory is.
        self._heads = np.unique([np.frombuffer(each[4:8], np.uint32)[0] for each in self._wanted])
        self._may_be_head = np.zeros(1 << 20, bool)
        self._may_be_head[self._heads >> 12] = True

    def found_in(self, content: bytes) -> int:
        """How many windows stand in it, at even places."""
        return sum(
            place >= 0 and any(content[place : place + length] in self._wanted for length in (32, 64, 128))
            for place in self._places(np.frombuffer(content, np.uint8))
        )

    def _places(self, content: UInt8) -> Iterator[int]:
        for begin in range(0, len(content), 1 << 24):
            for odd in (0, 2):
                part = content[begin + odd : begin + odd + (1 << 24)]
                words = part[: len(part) // 4 * 4].view(np.uint32)
                likely = np.flatnonzero(self._may_be_head[words >> 12])
                exact = likely[np.isin(words[likely], self._heads)]
                yield from (exact * 4 - 4 + begin + odd).tolist()


class Ear:
    """Listens to a pipe on a thread of its own, until its other end is closed."""

    def __init__(self, pipe: int) -> None:
        self.heard = bytearray()
        self._pipe = pipe
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 60.0
        while len(self.heard) < count:
            assert time.monotonic() < deadline, f"{len(self.heard)} of {count} bytes came"
            time.sleep(0.01)

    def close(self) -> None:
        self._thread.join()
        os.close(self._pipe)

    def _listen(self) -> None:
        while part := os.read(self._pipe, 1 << 20):
            self.heard += part


def windows_left(videos: list[Path], references: Path, pair: str, runtime: str, *more: str) -> list[int]:
    """How many windows of templates the engine's memory holds at each pause."""
    hearing, telling = os.pipe()
    ear = Ear(hearing)
    left: list[int] = []
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "tests.governance.canary_networks", ",".join(map(str, videos)), str(references),
             pair, runtime, str(telling), *more],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
            pass_fds=[telling],
        ) as program:  # fmt: skip
            os.close(telling)
            assert program.stdin is not None
            assert program.stdout is not None
            for line in program.stdout:
                if line.startswith("searched after "):
                    told = int(line.split()[2])
                    ear.wait_for(told)
                    rows = np.frombuffer(bytes(ear.heard), np.float32).reshape(-1, DIMENSIONS[pair.split("+")[1]])
                    needles = Needles(rows)
                    left.append(sum(needles.found_in(part) for part in memory_of(program.pid)))
                    program.stdin.write("go on\n")
                    program.stdin.flush()
            assert program.wait(60) == 0
    finally:
        ear.close()
    return left


@pytest.fixture
def references(media_dir: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "references"
    folder.mkdir()
    save_references(media_dir, folder)
    return folder


@pytest.mark.parametrize("runtime", ["onnx", "openvino", "openvino-bf16"])
@pytest.mark.parametrize("pair", ["yunet_n+face_reid_0095", "scrfd_500m_kps+mobilefacenet_y1"])
def test_no_number_of_a_template_is_left_by_real_networks(
    pair: str, runtime: str, media_dir: Path, references: Path
) -> None:
    if runtime.startswith("openvino"):
        pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install openvino")
        from pylfr.runtimes.openvino import bf16_is_native

        if runtime == "openvino-bf16" and not bf16_is_native():
            pytest.skip("this processor has no bfloat16")
    left = windows_left([video(media_dir, WALKING_AND_PAUSE)], references, pair, runtime)
    assert len(left) >= 2, "there must have been an alert between batches, and an end"
    assert left == [0] * len(left)


def test_the_search_finds_what_a_careless_stage_would_keep(media_dir: Path, references: Path) -> None:
    left = windows_left([video(media_dir, WALKING_AND_PAUSE)], references, "yunet_n+face_reid_0095", "onnx", "leak")
    assert all(left)
