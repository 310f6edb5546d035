"""``pylfr config``: a schema that describes every key, and every mistake of a file in one answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pylfr.cli import command_line
from pylfr.cli.config import deployment_schema
from pylfr.deployment.config import Deployment
from tests.deployment.test_config import GOOD, write


def check(path: Path) -> tuple[int, str]:
    done = CliRunner().invoke(command_line(), ["config", "check", str(path)])
    return done.exit_code, done.output


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("threshold = 0.5", 'treshold = 0.5\nbest_scores = "many"\ndetect_hz = -1')
    text = text.replace('detector = "yunet_n"', 'detecter = "yunet_n"').replace('type = "jsonl"', 'type = "jsnl"')
    code, output = check(write(tmp_path, text))
    assert code == 1
    for words in (
        "recognition: unknown key 'treshold': the nearest valid key is 'threshold'",
        "recognition.best_scores: ",
        "recognition.detect_hz: ",
        "models: unknown key 'detecter': the nearest valid key is 'detector'",
        "models.detector: Field required",
        "sinks.0: ",
    ):
        assert words in output, words
    assert len(output.strip().splitlines()) == 6


def test_rules_that_span_sections_are_reported_together(tmp_path: Path) -> None:
    twice = '[[cameras]]\nname = "hall"\nsource = "b.mp4"\n' * 2
    code, output = check(write(tmp_path, GOOD + twice))
    assert code == 1
    assert "duplicate camera name 'hall'" in output
    assert "camera 'hall' is not named in authorisation.cameras" in output


def test_a_valid_file_says_what_is_not_on_this_machine_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTROL_ROOM_TOKEN", raising=False)
    sink = '[[sinks]]\ntype = "webhook"\nurl = "https://example.org/"\nsecret = "${CONTROL_ROOM_TOKEN}"\n'
    text = GOOD.replace('"yunet_n"', '"no_such_network"') + sink
    code, output = check(write(tmp_path, text))
    assert code == 0
    assert "models.detector: " in output
    assert "no_such_network" in output
    assert "square.watchlist does not exist yet" in output
    assert "audit.path" not in output
    assert "sinks.1.secret: the environment variable CONTROL_ROOM_TOKEN is not set" in output
    assert "valid; 1 cameras, 2 sinks" in output


def test_the_schema_is_printed_as_json() -> None:
    done = CliRunner().invoke(command_line(), ["config", "schema"])
    assert json.loads(done.output) == json.loads(json.dumps(deployment_schema()))


def test_every_key_has_a_description() -> None:
    schema = Deployment.model_json_schema()
    tables = {"Deployment": schema, **schema["$defs"]}
    keys = {f"{name}.{key}": field for name, table in tables.items() for key, field in table["properties"].items()}
    assert len(keys) > 80
    assert [name for name, field in keys.items() if not field.get("description", "").strip()] == []
