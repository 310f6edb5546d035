"""The example programs do what they say, on real pictures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from docs.tools.reference import tables
from examples.compare_two_photographs import compare
from examples.enrol_and_search import search
from pylfr.deployment.config import Deployment, read_deployment
from pylfr.deployment.sections.recognition import BatchSection, RecognitionSection
from tests.system.governed_case import PREPARE, shell, write_case

needs_models = pytest.mark.usefixtures("models_dir")


def photographs(media: Path) -> tuple[Path, Path, Path]:
    """Two photographs of one person and one of another."""
    several = sorted(folder for folder in (media / "lfw").iterdir() if len(list(folder.glob("*.jpg"))) > 1)
    one, other = sorted(several[0].glob("*.jpg"))[:2]
    return one, other, sorted(several[50].glob("*.jpg"))[0]


@needs_models
def test_two_photographs_of_one_person_score_higher_than_of_two(media_dir: Path) -> None:
    one, same, other = photographs(media_dir)
    assert compare(one, same) > 0.31 > compare(one, other)


@needs_models
def test_a_search_names_the_right_person_first(media_dir: Path) -> None:
    one, same, other = photographs(media_dir)
    found = search(same, {"right": one, "wrong": other})
    assert [name for name, _ in found] == ["right", "wrong"]
    assert found[0][1] > 0.31 > found[1][1]


EXAMPLE = Path(__file__).parents[2] / "examples" / "deployment.toml"


def given_keys(tables: dict[str, object]) -> set[str]:
    """Every key of a parsed file with its table: ``batch.size``, ``cameras.zone.watch``, ``sinks.mqtt.host``."""
    keys = set()
    for name, value in tables.items():
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, dict):
                keys.add(name)
                continue
            place = f"{name}.{each['type']}" if name == "sinks" else name
            # What somebody named is no key of ours.
            if name in ("people", "roles", "nodes"):
                keys.add(name)
                continue
            for key in given_keys(each):
                keys.add(f"{place}.{key.split('.', 1)[1] if name == 'tokens' else key}")
    return keys


def described_keys() -> set[str]:
    keys = set()
    for name, kind in tables(Deployment):
        place = ".".join(word for word in re.findall(r"[a-z_.]+", name) if word != "type").rstrip(".")
        for key in kind.model_fields:
            is_table = f"{key}]" in " ".join(each for each, _ in tables(Deployment)) or f"{key}.NAME]" in " ".join(
                each for each, _ in tables(Deployment)
            )
            if not is_table:
                keys.add(key if name == "Top level" else f"{place}.{key}")
    return keys - {"people"}


def test_the_example_deployment_shows_every_section_and_key() -> None:
    # What is commented out is part of the example: it is shown in its place, without the # before it.
    shown = re.sub(r"^# (?=[a-z0-9_]+ = |\[)", "", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    keys = given_keys(tomllib.loads(shown))
    assert sorted(described_keys() - keys) == []


def test_the_example_deployment_is_valid_with_nothing_else_in_it() -> None:
    deployment = read_deployment(EXAMPLE)
    assert [camera.name for camera in deployment.cameras] == ["north", "south"]
    assert {sink.type for sink in deployment.sinks} == {"evidence", "jsonl", "webhook", "mqtt"}
    # Values that are shown are the defaults, but for the threshold.
    assert deployment.recognition == RecognitionSection(threshold=0.568)
    assert deployment.batch == BatchSection()


@needs_models
def test_the_example_deployment_starts(media_dir: Path, tmp_path: Path) -> None:
    ends_at = datetime.now(UTC) + timedelta(hours=2)
    write_case(tmp_path, media_dir, ends_at=ends_at)
    text = EXAMPLE.read_text(encoding="utf-8").replace("/etc/pylfr/trusted.toml", "trusted.toml")
    (tmp_path / "deployment.toml").write_text(text, encoding="utf-8")
    prepared = shell(tmp_path, PREPARE, tomorrow=ends_at + timedelta(hours=20))
    assert prepared.returncode == 0, prepared.stdout + prepared.stderr
    # Opened and authorised, with every sink and camera; nothing is connected before it runs.
    opened = "import pylfr; engine = pylfr.open_engine('deployment.toml'); print('ready'); engine.close()"
    secrets = dict.fromkeys(
        ("CAMERA_USER", "CAMERA_PASSWORD", "CONTROL_ROOM_TOKEN", "MQTT_USER", "MQTT_PASSWORD"), "example"
    )
    done = subprocess.run(
        [sys.executable, "-c", opened],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **secrets},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "ready\n"), done.stderr
