"""A certificate is of who measured: typed by hand or changed afterwards, it is refused or called unsigned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pylfr.errors import AuthorisationError
from pylfr.governance.authorisation.certificates import (
    describe,
    read_calibration,
    read_cohorts,
    sign_certificate,
    signer_of,
)
from tests.governance.samples import MEASURER, RULES, calibration, cohorts


def test_a_signed_certificate_is_read_with_its_signer(tmp_path: Path) -> None:
    for certificate, read in ((calibration(), read_calibration), (cohorts(), read_cohorts)):
        for indent, is_short in ((1, True), (None, False)):
            text = certificate.model_dump_json(indent=indent, exclude_none=is_short)
            (tmp_path / "certificate.json").write_text(text)
            found, _ = read(tmp_path / "certificate.json")
            assert signer_of(found) == MEASURER.public


@pytest.mark.parametrize(
    ("field", "value"), [("threshold", 0.2), ("material", "invented at my desk"), ("watchlist_size", 10_000)]
)
def test_a_certificate_that_was_changed_after_it_was_signed_is_refused(
    tmp_path: Path, field: str, value: object
) -> None:
    fields = json.loads(calibration().model_dump_json())
    (tmp_path / "certificate.json").write_text(json.dumps({**fields, field: value}))
    with pytest.raises(AuthorisationError, match=r"certificate\.json: it is not the certificate that"):
        read_calibration(tmp_path / "certificate.json")
    fields["measured"]["material_sha256"] = "00" * 32
    (tmp_path / "certificate.json").write_text(json.dumps(fields))
    with pytest.raises(AuthorisationError, match="it was changed"):
        read_calibration(tmp_path / "certificate.json")


def test_rules_that_came_later_count_where_they_are_used_and_leave_earlier_signatures_as_they_were(
    tmp_path: Path,
) -> None:
    signed = sign_certificate(
        calibration().model_copy(update={"rules": RULES}), MEASURER, measurer="unit", tool="t", material_sha256="0" * 64
    )
    fields = json.loads(signed.model_dump_json())
    earlier = {name: each for name, each in fields["rules"].items() if name not in ("smallest_face_px", "full_look_s")}
    (tmp_path / "certificate.json").write_text(json.dumps({**fields, "rules": earlier}))
    assert signer_of(read_calibration(tmp_path / "certificate.json")[0]) == MEASURER.public
    for changed in ({"smallest_face_px": 40.0}, {"full_look_s": 1.0}):
        (tmp_path / "certificate.json").write_text(json.dumps({**fields, "rules": {**earlier, **changed}}))
        with pytest.raises(AuthorisationError, match="it was changed"):
            read_calibration(tmp_path / "certificate.json")


def test_one_that_was_typed_by_hand_is_called_unsigned() -> None:
    typed = calibration().model_copy(update={"measured": None})
    assert signer_of(typed) is None
    assert describe(typed).endswith("10,000 non-mated passes; 2025-12-12, unsigned")
    assert f"by Evaluation unit, key {MEASURER.public.fingerprint}" in describe(calibration())
    assert "one 10 in 10,000, other 10 in 10,000" in describe(cohorts())
