"""Every block of code in README.md and in the documentation runs as it is printed, or says why it does not."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from tests.docs.page import ROOT, blocks, pages, run

README = ROOT / "README.md"
LANGUAGES = {"sh", "python", "toml", "text", "json", "csv", "mermaid", "yaml"}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_has_a_language_and_every_toml_reads(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        assert block.language in LANGUAGES, f"{page.name}: a block without a known language:\n{block.text}"
        if block.language == "toml":
            tomllib.loads(block.text)


def test_the_readme_runs(street: Path, tmp_path: Path) -> None:
    shutil.copytree(street, tmp_path, dirs_exist_ok=True)
    run(README.read_text(encoding="utf-8"), tmp_path)
    assert len(list((tmp_path / "evidence").glob("*.jpg"))) == 1
