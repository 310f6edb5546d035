"""Whatever people are called, their rows are read as they were written, encrypted and in clear."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pylfr.governance.adjudication.database import open_records
from pylfr.governance.adjudication.erasure_keys import ErasureKeys
from pylfr.governance.adjudication.review import Review
from pylfr.governance.audit.audit import AuditLog, system_clock
from tests.governance.reviews import deploy, queue, signed_log

# Names that anybody may choose, and that look like what the records hold of an encrypted one.
SEALED = "sealed:20260111T130000Z:QWRh"
NAMES = (SEALED, f"clear:{SEALED}", "clear:", "clear: Ada", "sealed: Ada", "sealed:20260111T130000Z:")


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    log = signed_log(tmp_path)
    yield log
    log.close()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("is_encrypted", [False, True], ids=["in clear", "encrypted"])
def test_a_name_that_looks_like_an_encrypted_one_is_read_as_it_was_given(
    name: str, is_encrypted: bool, records_url: str, audit: AuditLog, tmp_path: Path
) -> None:
    keys = ErasureKeys(tmp_path / "keys", passphrase=None, clock=system_clock) if is_encrypted else None
    with closing(open_records(records_url, keys=keys)) as records:
        deploy(records, audit)
        queue(records, audit, entry=name)
        review = Review(records, audit)
        review.adjudicate("a1", by=name, verdict="same person", reason=name)
        row = review.alert("a1")
        assert row.differences == ()
        assert row.entry == name
        assert [(each.adjudicator, each.reason) for each in row.case.adjudications] == [(name, name)]
