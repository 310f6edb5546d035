"""The example programs do what they say, on real pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.compare_two_photographs import compare
from examples.enrol_and_search import search
from pylfr.deployment.config import read_deployment

pytestmark = pytest.mark.usefixtures("models_dir")


def photographs(media: Path) -> tuple[Path, Path, Path]:
    """Two photographs of one person and one of another."""
    several = sorted(folder for folder in (media / "lfw").iterdir() if len(list(folder.glob("*.jpg"))) > 1)
    one, other = sorted(several[0].glob("*.jpg"))[:2]
    return one, other, sorted(several[50].glob("*.jpg"))[0]


def test_two_photographs_of_one_person_score_higher_than_of_two(media_dir: Path) -> None:
    one, same, other = photographs(media_dir)
    assert compare(one, same) > 0.31 > compare(one, other)


def test_a_search_names_the_right_person_first(media_dir: Path) -> None:
    one, same, other = photographs(media_dir)
    found = search(same, {"right": one, "wrong": other})
    assert [name for name, _ in found] == ["right", "wrong"]
    assert found[0][1] > 0.31 > found[1][1]


def test_the_example_deployment_is_one_that_pylfr_reads() -> None:
    deployment = read_deployment(Path(__file__).parents[2] / "examples" / "deployment.toml")
    assert [camera.name for camera in deployment.cameras] == ["north", "south"]
    assert {sink.type for sink in deployment.sinks} == {"evidence", "jsonl", "webhook"}
