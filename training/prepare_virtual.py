"""Ask the teacher about virtual faces once, for all trainings: `python prepare_virtual.py --faces 12000`.

On a machine without a GPU the teacher costs as much as the student's own training; this is what two seeds, or two ways
to train, share. Run again, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from face_store import load_faces
from face_stream import FaceStream
from people import work_dir
from teacher_network import open_teacher
from torch import Tensor
from virtual_store import write_store

_AT_ONCE = 64


def masters(name: str) -> Tensor:
    """uint8 [n, 3, 160, 160] of what prepare_faces.py wrote."""
    crops = load_faces(work_dir() / f"{name}.npz").crops
    return torch.from_numpy(crops).permute(0, 3, 1, 2).contiguous()


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=12_000)
    parser.add_argument("--to", type=Path, default=work_dir() / "virtual")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    device = torch.device("cpu")
    torch.manual_seed(options.seed)
    stream = FaceStream(masters("faces_learn"), open_teacher(device), size=_AT_ONCE, new=_AT_ONCE)
    write_store(options.to, stream, masters("faces_held_out"), size=options.faces, seed=options.seed)


if __name__ == "__main__":
    main()
