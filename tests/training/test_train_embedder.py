"""The embedder's training on a CPU, on faces of nobody: stages that learn apart, what is kept on disk, and resuming."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: make torch")

_FACES = 16
# Twenty people with two pictures each, and ten with one.
_NAMES = np.array([f"person {number // 2}" for number in range(40)] + [f"alone {number}" for number in range(10)])


def _smooth_faces(count: int) -> npt.NDArray[np.uint8]:
    coarse = torch.rand(count, 3, 5, 5, generator=torch.Generator().manual_seed(1)) * 255
    smooth = torch.nn.functional.interpolate(coarse, (160, 160), mode="bilinear")
    return smooth.permute(0, 2, 3, 1).to(torch.uint8).contiguous().numpy()  # type: ignore[no-any-return]


def _answer(crops: Any) -> tuple[Any, tuple[Any, ...]]:  # noqa: ANN401 (tensors: torch may be missing)
    """A teacher: what a few pixels are, and three maps of the picture itself."""
    small = torch.nn.functional.interpolate(crops / 255, (16, 16), mode="area")
    maps = tuple(
        torch.nn.functional.interpolate(small, (cells, cells)).repeat(1, -(-channels // 3), 1, 1)[:, :channels]
        for cells, channels in ((32, 64), (16, 128), (8, 128))
    )
    return small[:, 0].flatten(1) - 0.5, maps


@pytest.fixture
def program(training_folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """train_embedder.py with a store of virtual faces, and a clock on which every look is a second."""
    store, stream, train = (import_module(name) for name in ("virtual_store", "face_stream", "train_embedder"))
    faces = import_module("face_store")
    crops = _smooth_faces(len(_NAMES))
    nowhere = np.zeros((len(_NAMES), 5, 2), np.float32)
    faces.save_faces(
        training_folder / "faces_held_out.npz",
        faces.Faces(crops=crops, names=_NAMES, landmarks=nowhere, paths=_NAMES),
    )
    masters = torch.from_numpy(crops).permute(0, 3, 1, 2).contiguous()
    monkeypatch.setattr(stream, "SAMPLED", 8)
    ring = stream.FaceStream(masters, _answer, size=8, new=8)
    store.write_store(training_folder / "virtual", ring, masters, size=_FACES, seed=3)
    monkeypatch.setitem(train.CLOCKS, "wall", itertools.count(0.0, 1.0).__next__)
    return train


def _run(train: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: Path, *options: str) -> dict[str, object]:
    given = ["--virtual", str(folder / "virtual"), "--device", "cpu", "--batch", "24", "--side", "32", *options]
    monkeypatch.setattr("sys.argv", ["train_embedder.py", *given])
    train.main()
    saved: dict[str, object] = torch.load(folder / "embedder.pt", map_location="cpu")
    return saved


def test_stages_that_learn_apart_are_saved_resumed_and_joined(
    program: ModuleType, training_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = _run(program, monkeypatch, training_folder, "--apart", "0.5", "--seconds", "8", "--steps", "2")
    assert early["steps"] == 2
    pieces = early["apart"]
    assert isinstance(pieces, dict)
    # The second stage reads the teacher's 64 channels, the third its 128.
    assert pieces["student.stages.1.0.0.weight"].shape[1] == 64
    assert pieces["student.stages.2.0.0.weight"].shape[1] == 128

    later = _run(program, monkeypatch, training_folder, "--apart", "0.5", "--seconds", "8", "--steps", "3")
    assert later["steps"] == 3
    assert later["seconds"] > early["seconds"]  # type: ignore[operator]
    moved = later["apart"]
    assert isinstance(moved, dict)
    change = (moved["student.stages.1.0.0.weight"] - pieces["student.stages.1.0.0.weight"]).abs().max()
    assert 0 < change < 0.1  # one step from where it was, not another beginning

    whole = _run(program, monkeypatch, training_folder, "--apart", "0.5", "--seconds", "8")
    assert whole["apart"] is None
    assert whole["seconds"] >= 8  # type: ignore[operator]
    curve = (training_folder / "embedder.csv").read_text().splitlines()
    assert len(curve) >= 4
    assert all(np.isfinite([float(field) for field in line.split(",")]).all() for line in curve)


def test_joined_stages_answer_as_they_do_one_after_the_other_through_their_readings(training_folder: Path) -> None:
    assert training_folder.is_dir()
    network, stages, trainer = (import_module(name) for name in ("embedder_network", "stages", "embedder_trainer"))
    torch.manual_seed(0)
    apart = stages.Apart(network.NanoEmbedder()).eval()
    loss = trainer.Loss(torch.zeros(2, 256))
    for read in loss.read:  # biases are left to the norms, so they are none here
        torch.nn.init.zeros_(read.bias)
    joined = network.NanoEmbedder().eval()
    before = {name: value.clone() for name, value in apart.state_dict().items()}
    stages.join(apart, loss.read, joined)
    assert all(torch.equal(before[name], value) for name, value in apart.state_dict().items())

    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        student = apart.student
        first = student.stages[0](student.stem(x))
        second = student.stages[1](loss.read[0](first))
        third = student.stages[2](loss.read[1](second))
        expected = student.out(student.norm(student.pool(student.widen(loss.read[2](third)))))
        torch.testing.assert_close(joined(x), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("program")
def test_a_store_of_virtual_faces_goes_on_where_it_stopped_and_gives_the_same(
    training_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, stream = import_module("virtual_store"), import_module("face_stream")
    masters = torch.from_numpy(_smooth_faces(len(_NAMES))).permute(0, 3, 1, 2).contiguous()
    again = training_folder / "again"

    def open_stream() -> object:
        torch.manual_seed(0)
        return stream.FaceStream(masters, _answer, size=8, new=8)

    broken, begun = open_stream(), itertools.count(1)

    def break_off(ring: object, _make: Callable[[object], None] = stream.FaceStream.make) -> None:
        if ring is broken and next(begun) == 2:
            raise KeyboardInterrupt
        _make(ring)

    monkeypatch.setattr(stream.FaceStream, "make", break_off)
    with pytest.raises(KeyboardInterrupt):
        store.write_store(again, broken, masters, size=_FACES, seed=3)
    assert (again / "filled.txt").read_text() == "8"
    store.write_store(again, open_stream(), masters, size=_FACES, seed=3)
    for name in ("faces", "targets"):
        assert np.array_equal(np.load(again / f"{name}.npy"), np.load(training_folder / "virtual" / f"{name}.npy"))
    with pytest.raises(SystemExit, match="name another folder"):
        store.write_store(again, open_stream(), masters, size=_FACES + 1, seed=3)
