"""What is not there cannot be switched on: no guess at race or mood, no collecting of faces, no core dump."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pylfr.models.store import open_store

PACKAGE = Path(__file__).parents[2] / "pylfr"
# Words of programs that infer what somebody is, and of programs that collect pictures from anywhere.
INFERENCE = re.compile(r"ethnic|emotion|gender|nationality|religio|fairface|deepface|age_net|mood", re.IGNORECASE)
COLLECTORS = {"bs4", "scrapy", "selenium", "playwright", "requests_html", "instaloader", "tweepy", "mechanize"}


def imports() -> Iterator[tuple[Path, str]]:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield path, node.module


def test_nothing_imports_a_classifier_of_people_or_a_collector_of_pictures() -> None:
    found = list(imports())
    assert len(found) > 300
    assert not [(path, name) for path, name in found if INFERENCE.search(name) or name.split(".")[0] in COLLECTORS]


def test_every_network_finds_faces_or_compares_them_and_none_infers_more() -> None:
    store = open_store()
    manifests = [store.manifest(name) for name in store.names()]
    assert len(manifests) > 5
    assert {manifest.task for manifest in manifests} == {"detect", "embed"}
    assert not [manifest.name for manifest in manifests if INFERENCE.search(f"{manifest.name} {manifest.file}")]


def test_templates_leave_through_no_command() -> None:
    for path in (PACKAGE / "cli").rglob("*.py"):
        if path.name not in ("evaluate.py", "calibrate.py", "cohorts.py", "passes.py"):
            assert ".vectors" not in path.read_text(encoding="utf-8"), path


def test_what_decides_keeps_or_sends_has_no_name_for_a_template() -> None:
    """Not the engine's loop, the alerts, the account, the record, the sinks, nor what delivers to them."""
    folders = ("sinks", "governance", "video", "engine")
    modules = ("deployment/sinks.py", "deployment/sweep.py", "deployment/authorise.py")
    paths = [path for folder in folders for path in (PACKAGE / folder).rglob("*.py")]
    paths += [PACKAGE / name for name in modules]
    assert len(paths) > 40
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [getattr(node, "id", ""), getattr(node, "attr", ""), getattr(node, "name", "")]
            assert not {"Templates", "vectors"} & set(map(str, names)), f"{path}:{getattr(node, 'lineno', 0)}"


@pytest.mark.parametrize(("called", "expected"), [("refuse_core_dumps()", "(0, 0)"), ("None", "(1000, ")])
def test_a_run_leaves_no_core_dump(called: str, expected: str) -> None:
    program = (
        "import resource; from pylfr.governance.keys.memory import refuse_core_dumps\n"
        "hard = resource.getrlimit(resource.RLIMIT_CORE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (1000 if hard else 0, hard))\n"
        f"{called}; print(resource.getrlimit(resource.RLIMIT_CORE), hard)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    if done.stdout.endswith(" 0\n") and called == "None":
        pytest.skip("this machine allows no core dumps to begin with")
    assert done.stdout.startswith(expected)
