"""What the documents say about the repository is so: files that they name exist, and versions agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pylfr
from tests.docs.page import ROOT, pages

DOCUMENTS = [*pages(), *(ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"))]
# Folders that a reader has or makes.
ELSEWHERE = {"demo/", "networks/", "people/", "lfw/", "dist/", "evaluation/"}
FOLDERS = (ROOT, ROOT / "pylfr", ROOT / "csrc")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_a_document_names_exist(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    named = re.findall(r"`([\w./-]+/[\w.-]*\.(?:py|hpp|cpp|cu|sh|md|toml))`", text)
    named += re.findall(r"`([\w.-]+/(?:[\w.-]+/)*)`", text)
    missing = [
        name
        for name in named
        if not any((folder / name).exists() for folder in (*FOLDERS, document.parent)) and name not in ELSEWHERE
    ]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    # Pages that are made when the site is built.
    generated = {"configuration.md", "cli.md", "errors.md", "contributing.md", "changelog.md", "threat-model.md"}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http", "#")) and Path(target.split("#")[0]).name not in generated:
            assert (document.parent / target.split("#")[0]).exists(), target


def test_the_citation_names_this_version() -> None:
    assert f"version: {pylfr.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
