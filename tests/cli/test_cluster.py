"""How many cameras a machine of a cluster may be given is what was measured on it, or what somebody says."""

from __future__ import annotations

import json
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pylfr.cli import cluster
from pylfr.errors import ConfigError, UsageError
from pylfr.sizing.machine import this_machine

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install pylfr[cluster]")


def sized(folder: Path, *, cameras: int = 7, confirmed: bool = True, processor: str = "") -> Path:
    """What ``pylfr size --json`` writes, as far as it is read here."""
    machine = this_machine()
    path = folder / "size.json"
    said = {"processor": processor or machine.processor, "cores": machine.cores}
    networks = {"detector": "a", "embedder": "b"}
    path.write_text(
        json.dumps(
            {"type": "sizing", "cameras": cameras, "confirmed": confirmed, "conditions": networks, "machine": said}
        )
    )
    return path


def offered(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> dict[str, int]:
    """The resources with which Ray would be started for a node. Raises what the command raises."""
    (folder / "node").mkdir(exist_ok=True)
    (folder / "node/node.key").touch()
    begun: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        begun.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    command = ["node", str(folder / "node"), "--address", "192.0.2.1:6379", *words]
    done = CliRunner().invoke(cluster.commands, command, standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    (resources,) = [word.partition("=")[2] for word in begun[-1] if word.startswith("--resources")]
    made: dict[str, int] = json.loads(resources)
    return made


def test_a_node_offers_what_was_measured_on_its_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = sized(tmp_path, cameras=7)
    assert offered(monkeypatch, tmp_path, "--sized", str(path))["pylfr_cameras"] == 7
    assert offered(monkeypatch, tmp_path, "--cameras", "0")["pylfr_cameras"] == 0


def test_what_was_measured_elsewhere_or_not_to_the_end_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="must be of this machine"):
        offered(monkeypatch, tmp_path, "--sized", str(sized(tmp_path, processor="another")))
    with pytest.raises(ConfigError, match="let `pylfr size` come to its end"):
        offered(monkeypatch, tmp_path, "--sized", str(sized(tmp_path, confirmed=False)))


def test_one_of_both_has_to_say_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give --sized"):
        offered(monkeypatch, tmp_path)
    with pytest.raises(UsageError, match="not both"):
        offered(monkeypatch, tmp_path, "--cameras", "3", "--sized", str(sized(tmp_path)))
