"""docs/tutorials/first-deployment.md, run as it is written: from the keys to the shred."""

from __future__ import annotations

import json
import os
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylfr.deployment.authorise import require_authorised
from pylfr.deployment.config import read_deployment
from pylfr.deployment.resources import Resources
from pylfr.deployment.sweep import forget_expired
from pylfr.errors import VaultError
from pylfr.governance.audit.chain import parse_entry
from tests.docs.page import DOCS, run

PAGE = DOCS / "tutorials" / "first-deployment.md"
BOB = '\npylfr alerts adjudicate deployment.toml "$ALERT" --by "Bob Example"'
LOOK = '\necho what-Bob-sees; pylfr alerts show deployment.toml "$ALERT"; pylfr alerts list deployment.toml; echo end'


def people_of(media: Path, folder: Path, *, several: int, single: int) -> None:
    """The page's people/ and groups.csv: people of LFW with several photographs and with one, and labels by turn."""
    (folder / "people").mkdir()
    everybody = sorted((media / "lfw").iterdir())
    with_several = [person for person in everybody if len(list(person.glob("*.jpg"))) > 1]
    with_one = [person for person in everybody if len(list(person.glob("*.jpg"))) == 1]
    rows = ["person,group"]
    for number, person in enumerate([*with_several[:several], *with_one[:single]]):
        (folder / "people" / person.name).symlink_to(person)
        rows.append(f"{person.name},{'first' if number % 2 else 'second'}")
    (folder / "groups.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.mark.slow
def test_the_tutorial_leads_from_the_key_to_the_shred(
    street: Path, media_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIEWER", f"{sys.executable} -c 'import sys; print(sys.stdin.buffer.read(11)[6:])'")
    shutil.copytree(street, tmp_path, dirs_exist_ok=True)
    people_of(media_dir, tmp_path, several=100, single=1000)
    if os.geteuid() != 0:
        pytest.skip("the root of trust must belong to another user, which root alone can arrange (unshare -r pytest)")
    text = PAGE.read_text(encoding="utf-8").replace("/etc/pylfr", str(tmp_path / "etc")).replace("sudo ", "")
    assert text.count(BOB) == 1
    before, after = text.replace(BOB, f"{LOOK}{BOB}").split("## 8.")
    printed = run(before, tmp_path)
    seen = printed.split("what-Bob-sees")[1].split("\nend\n")[0]
    assert "verdicts: 1 of 2" in seen
    assert "Ann Example" not in seen
    assert "same person" not in seen
    assert "state: closed" in printed
    assert not (tmp_path / "square.watchlist").exists()

    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (report["alerts"], report["true_alerts"], report["false_alerts"], report["engagements"]) == (1, 1, 0, 1)
    assert report["watchlist_categories"] == {"wanted on warrant": 1}
    assert report["faces_seen"] >= 2
    published = "".join((tmp_path / "report" / f"report.{kind}").read_text() for kind in ("md", "json", "html"))
    for personal in ("REF-1", "REF-2", "Ann Example", "Bob Example", "Cem", "Dee", "Eve"):
        assert personal not in published
    lines = (tmp_path / "audit.log").read_bytes().splitlines()
    kinds = [kind for line in lines if not (kind := parse_entry(line).kind).startswith("camera-")]
    assert kinds == [
        "withdrawn", "deployed", "run-began", "alert", "run-ended", "adjudication", "adjudication", "engagement",
        "outcome",
    ]  # fmt: skip

    pictures = list((tmp_path / "evidence").iterdir())
    assert pictures
    assert "b'JFIF\\x00'" in printed
    assert not any(b"JFIF" in picture.read_bytes() for picture in pictures)

    # A day and more after the window, by a clock of the test's own.
    deployment = read_deployment(tmp_path / "deployment.toml")
    with Resources(deployment, now=datetime.now(UTC) + timedelta(hours=27)) as resources:
        gone = forget_expired(resources)
        assert (gone.lines, gone.outcomes) == (0, 0)
        assert (gone.pictures, gone.alerts, sorted(gone.keys)) == (len(pictures), 1, ["evidence.key", "square.key"])
        assert [row.entry for row in resources.require_records().stored().alerts] == [None]
        with pytest.raises(VaultError, match="is destroyed"):
            require_authorised(resources)

    printed = run(after, tmp_path)
    assert "whole and in order, as signed" in printed
    assert "4 decisions, each signed by who decided" in printed
    assert "'REF-1' was listed\n" in printed
    assert "'REF-2' was listed, and taken off at" in printed
