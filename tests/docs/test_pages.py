"""Every block of code in README.md and in the documentation runs as it is printed, or says why it does not."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from pylfr._internal.toml_model import validated
from pylfr.deployment.config import Deployment
from tests.conftest import why_not_cuda
from tests.docs.page import DOCS, ROOT, blocks, pages, run
from tests.docs.test_first_deployment import people_of

README = ROOT / "README.md"
LANGUAGES = {"sh", "python", "toml", "text", "json", "csv", "mermaid", "yaml"}


def unknown_keys(tables: dict[str, object]) -> list[str]:
    """What in a deployment file, or in a part of one, is not as its keys are described; a missing key is no mistake."""
    made = validated(tables, Deployment, folder=Path())
    if not isinstance(made, list):
        return []
    return [mistake for mistake in made if not mistake.endswith("Field required")]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_has_a_language_and_every_toml_reads(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        assert block.language in LANGUAGES, f"{page.name}: a block without a known language:\n{block.text}"
        if block.language == "toml":
            tables = tomllib.loads(block.text)
            if block.title in (None, "deployment.toml"):
                assert unknown_keys(tables) == []


def test_the_readme_runs(street: Path, tmp_path: Path) -> None:
    shutil.copytree(street, tmp_path, dirs_exist_ok=True)
    run(README.read_text(encoding="utf-8"), tmp_path, networks="shipped")
    assert len(list((tmp_path / "evidence").glob("*.jpg"))) == 1


# Pages that a folder with the street is enough for.
ON_THE_STREET = (
    "quickstart",
    "tutorials/fastapi",
    "tutorials/gpu",
    "tutorials/own-network",
    "tutorials/size",
    "howto/alerts",
    "howto/cameras",
    "howto/retention",
    "howto/stills",
    "reference/api",
)


@pytest.mark.parametrize("name", ON_THE_STREET)
def test_a_page_runs_as_it_is_printed(name: str, street: Path, tmp_path: Path) -> None:
    if name == "tutorials/fastapi":
        pytest.importorskip("fastapi")
    if name == "tutorials/gpu" and why_not_cuda() is None:
        pytest.skip("the page shows what happens without a GPU, and there is one")
    shutil.copytree(street, tmp_path, dirs_exist_ok=True)
    run((DOCS / f"{name}.md").read_text(encoding="utf-8"), tmp_path, networks="shipped")


@pytest.mark.slow
def test_the_tutorial_on_thresholds_runs(media_dir: Path, tmp_path: Path) -> None:
    people_of(media_dir, tmp_path, several=60, single=250)
    run((DOCS / "tutorials" / "threshold.md").read_text(encoding="utf-8"), tmp_path)


def test_no_page_has_code_that_no_test_runs() -> None:
    run_by_name = {DOCS / f"{name}.md" for name in ON_THE_STREET}
    run_by_name |= {README, DOCS / "tutorials" / "first-deployment.md", DOCS / "tutorials" / "threshold.md"}
    for page in pages():
        running = [
            block
            for block in blocks(page.read_text(encoding="utf-8"))
            if block.language in ("sh", "python") and block.why_not is None
        ]
        assert not running or page in run_by_name, f"{page.relative_to(ROOT)} has code that no test runs"
