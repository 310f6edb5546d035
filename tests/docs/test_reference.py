"""The reference is complete, and the site needs nobody else's server when it is viewed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

import pylfr
from docs.tools.reference import generated, tables
from pylfr.deployment.config import Deployment
from pylfr.engine.summary import Summary
from pylfr.video.sources.observer import EventKind
from tests.docs.page import DOCS, ROOT

PAGES = generated()


def test_every_configuration_key_stands_in_the_reference() -> None:
    page = PAGES["reference/configuration.md"]
    for name, kind in tables(Deployment):
        section = page.split(f"## {name}\n", 1)[1].split("\n## ", 1)[0]
        for key, field in kind.model_fields.items():
            assert f"| `{key}` | {field.description} |" in section or f"{key}]" in page or f"{key}.NAME]" in page, (
                f"{name}: {key}"
            )


def test_every_command_and_option_stands_in_the_reference() -> None:
    page = PAGES["reference/cli.md"]
    for words in ("## pylfr try", "### pylfr watchlist was-listed", "### pylfr config check", "`--cohort-certificate`"):
        assert words in page


def test_every_error_and_public_name_stands_in_the_reference() -> None:
    errors, api = PAGES["reference/errors.md"], (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    for name in pylfr.__all__:
        if name != "__version__":
            assert f"pylfr.{name}`" in errors or re.search(rf"\b{name}\b", api), name


def test_every_kind_of_audit_entry_is_explained() -> None:
    page = (DOCS / "reference" / "events.md").read_text(encoding="utf-8")
    source = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "pylfr").rglob("*.py")))
    kinds = set(re.findall(r'Event\(\s*kind="([a-z-]+)"', source)) | {f"camera-{kind}" for kind in get_args(EventKind)}
    assert len(kinds) > 15
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in page] == []


def test_every_field_of_the_summary_is_explained() -> None:
    page = (DOCS / "reference" / "metrics.md").read_text(encoding="utf-8")
    assert [field.name for field in fields(Summary) if f"`{field.name}`" not in page] == []


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="the site is built with MkDocs: make docs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe|source)[^>]+src="(https?:[^"]+)"', text)
        loaded += [tag for tag in re.findall(r"<link[^>]+>", text) if "https://" in tag and 'rel="stylesheet"' in tag]
        assert loaded == [], page.relative_to(tmp_path)
        # The theme asks GitHub for the number of stars where it is told of a repository, and fetches Mermaid.
        assert 'data-md-component="source"' not in text
        assert 'class="mermaid"' not in text
