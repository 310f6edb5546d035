"""Whatever names or shows somebody, and every key, is its owner's alone, also where the umask is 0."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.command import pylfr
from tests.cli.test_authority import WORDS, deployment_text
from tests.footage import MAN, save_references, video

pytestmark = pytest.mark.usefixtures("models_dir")

# Meant for others: they name nobody. Everything else that is written must be private.
PUBLIC = frozenset({
    "officer.pub", "record.pub", "node/head.pub", "node/node.pub", "summary.json", "report", "report/report.md",
    "report/report.json", "report/report.html",
})  # fmt: skip
SEALED = """
[[sinks]]
type = "evidence"
folder = "pictures/evidence"
key = "evidence.key"
[[sinks]]
type = "jsonl"
path = "alerts.jsonl"
"""


@contextmanager
def open_to_all() -> Iterator[None]:
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def test_names_pictures_and_keys_are_their_owners_alone_whatever_the_umask(media_dir: Path, tmp_path: Path) -> None:
    given, made = tmp_path / "given", tmp_path / "made"
    given.mkdir()
    made.mkdir()
    man = save_references(media_dir, given)["man"][0]
    now = datetime.now(UTC)
    begins, ends, over = (f"{now + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}" for hours in (-1, 1, 2))
    case = given / "case.toml"
    case.write_text(f"{WORDS}\nstarts_at = {begins}\nends_at = {ends}\n")
    text = deployment_text(media_dir).replace(
        '"corridor.watchlist"', '"sealed.watchlist"\nkey = "list.key"\nmanifest = "listed.json"'
    )
    file = made / "deployment.toml"
    file.write_text(text + SEALED)
    before = {file}
    commands: tuple[tuple[str | Path, ...], ...] = (
        ("try", video(media_dir, MAN), "--person", f"Ada={man}", "--json", made / "rehearsal.jsonl",
         "--out", made / "rehearsal" / "pictures", "--detect-hz", "3"),
        ("authority", "keygen", made / "officer.key"),
        ("authority", "keygen", made / "record.key"),
        ("cluster", "keygen", made / "node", "--head", made / "record.pub"),
        ("watchlist", "create", made / "plain.watchlist", "--embedder", "face_reid_0095"),
        ("watchlist", "enrol", made / "plain.watchlist", "man", man, "--detector", "yunet_n"),
        ("watchlist", "seal", made / "plain.watchlist", made / "sealed.watchlist", "--key", made / "list.key",
         "--key-in", "file", "--expires", over.rstrip("Z"), "--manifest", made / "listed.json",
         "--record-key", made / "record.key", "--keep"),
        ("authority", "draft", file, "--case", case, "--out", made / "draft.json"),
        ("authority", "sign", made / "draft.json", "--key", made / "officer.key", "--out", made / "authorisation.json"),
        ("run", file, "--summary", made / "summary.json"),
        ("sweep", file),
        ("report", file, "--out", made / "report"),
        ("audit", "export", made / "audit.log", "--checkpoints", made / "elsewhere.checkpoints",
         "--key", made / "record.pub", "--out", made / "copy"),
        ("records", "backup", file, made / "records.sealed", "--key", made / "backup.key"),
        ("fleet", "pack", given, made / "hall.bundle", "--site", "hall", "--version", "1",
         "--key", made / "officer.key"),
    )  # fmt: skip
    with open_to_all():
        for command in commands:
            done = pylfr(*command)
            assert done.returncode == 0, f"{command}: {done.stderr}"
    found = {path.relative_to(made).as_posix(): path for path in made.rglob("*") if path not in before}
    expected = {"rehearsal.jsonl", "draft.json", "authorisation.json", "alerts.jsonl", "records.sqlite", "list.key"}
    assert expected <= found.keys()
    assert any(name.startswith("pictures/evidence/") for name in found)
    assert any(name.startswith("rehearsal/pictures/") for name in found)
    others = {name: f"{path.stat().st_mode & 0o777:o}" for name, path in found.items() if path.stat().st_mode & 0o077}
    assert others.keys() - PUBLIC == set(), others
