from __future__ import annotations

import json
from pathlib import Path

from pylfr.governance.authorisation.authority import plain_fields
from pylfr.governance.authorisation.readable import terms_of
from pylfr.governance.authorisation.signed import sign_authorisation
from pylfr.governance.keys.keys import make_key, read_signing_key
from tests.cli.command import pylfr
from tests.governance.samples import authorisation


def test_everything_that_is_signed_is_said_once() -> None:
    fields = plain_fields(authorisation())
    terms = {term.name: term.lines for term in terms_of(fields)}
    assert terms["Window"] == ("2026-01-11 12:00 UTC to 2026-01-11 18:00 UTC", "for 6 h")
    assert terms["Necessity"] == ("other means were tried",)
    assert "signage confirmed: yes" in terms["Assessments"]
    assert terms["People who decide"][0].startswith("Ann: key ")
    said = sum(len(lines) for lines in terms.values())
    several = sum(len(value) - 1 for value in fields.values() if isinstance(value, dict))
    assert said == len(fields) + several
    assert "Further" not in terms
    assert dict.fromkeys(terms_of({"added later": "is said too"})) != {}


def test_a_draft_shows_what_is_blank_and_a_signed_one_its_reference(tmp_path: Path) -> None:
    draft = tmp_path / "draft.json"
    draft.write_text(json.dumps({**plain_fields(authorisation()), "necessity": "", "signed_at": ""}))
    shown = pylfr("authority", "show", draft)
    assert "Necessity:\n  (blank)" in shown.stdout
    make_key(tmp_path / "officer.key")
    signed = tmp_path / "signed.json"
    signed.write_bytes(sign_authorisation(authorisation(), (read_signing_key(tmp_path / "officer.key"),)))
    assert f"authorisation {authorisation().reference}" in pylfr("authority", "show", signed).stdout
    (tmp_path / "other.json").write_text("[]")
    refused = pylfr("authority", "show", tmp_path / "other.json")
    assert refused.returncode == 1
    assert "must be a draft or a signed authorisation" in refused.stderr
