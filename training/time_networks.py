"""Milliseconds of networks at one thread: `python time_networks.py student.onnx ...`, beside the teachers.

Processor time, the median of many runs, so that a busy machine matters less.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime  # noqa: TID251 (training stands outside the package)
from people import teacher_path

RUNS = 40
SIDES_OF_FREE_INPUTS = (320, 640)


def milliseconds(session: onnxruntime.InferenceSession, shape: tuple[int, ...]) -> float:
    """The median processor time of one run."""
    name = session.get_inputs()[0].name
    picture = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    taken = []
    for _ in range(RUNS):
        began = time.process_time()
        session.run(None, {name: picture})
        taken.append(time.process_time() - began)
    return 1000 * float(np.median(taken))


def main() -> None:
    """Time the teachers and the networks named."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    for path in (teacher_path("face_reid_0095.onnx"), teacher_path("yunet_n.onnx"), *map(Path, sys.argv[1:])):
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        free = session.get_inputs()[0].shape[2:]
        sides = [free[0]] if isinstance(free[0], int) else SIDES_OF_FREE_INPUTS
        for side in sides:
            sys.stdout.write(f"{path.name} at {side}x{side}: {milliseconds(session, (1, 3, side, side)):.2f} ms\n")


if __name__ == "__main__":
    main()
