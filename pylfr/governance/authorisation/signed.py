"""Authorisations in signed files: any change of any field is found and named."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pylfr._internal.canonical_json import Plain, canonical, digest
from pylfr._internal.regular_file import read_file
from pylfr._internal.strict_json import parse_json, text_of
from pylfr._internal.toml_model import explain
from pylfr.errors import AuthorisationError
from pylfr.governance.authorisation.authority import Authorisation, plain_fields
from pylfr.governance.keys.keys import PublicKey, SigningKey

_FORMAT = "pylfr-authorisation-1"
_LARGEST_FILE = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAuthorisation:
    """An authorisation and the keys that signed it, all signatures verified."""

    authorisation: Authorisation
    signers: frozenset[PublicKey]


def sign_authorisation(authorisation: Authorisation, keys: tuple[SigningKey, ...]) -> bytes:
    """The signed file of ``authorisation``, JSON.

    What is signed are the digests of its fields, one by one, so that a reader can say which of them was altered.
    """
    fields = plain_fields(authorisation)
    digests = _digests(fields)
    signatures: list[Plain] = [
        {"key": key.public.text, "signature": base64.b64encode(key.sign(_message(digests))).decode("ascii")}
        for key in keys
    ]
    record: dict[str, Plain] = {
        "format": _FORMAT, "authorisation": fields, "digests": dict(digests), "signatures": signatures,
    }  # fmt: skip
    return json.dumps(record, indent=2, ensure_ascii=False).encode() + b"\n"


def read_signed(path: Path) -> SignedAuthorisation:
    """The authorisation in ``path`` with those who signed it.

    Raises ``AuthorisationError`` naming each field that is missing, that was altered, or that does not make sense, and
    where a signature does not verify.
    """
    try:
        record = parse_json(read_file(path, largest=_LARGEST_FILE))
    except OSError as error:
        raise AuthorisationError(
            f"the authorisation {path} cannot be read ({error.strerror}): `pylfr authority sign` makes it"
        ) from error
    except ValueError as error:
        raise AuthorisationError(f"the authorisation {path} is damaged: {error}") from error
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise AuthorisationError(f"{path} must be a signed authorisation: `pylfr authority sign` makes it from a draft")
    fields, digests = record.get("authorisation"), record.get("digests")
    if not isinstance(fields, dict) or not isinstance(digests, dict):
        raise AuthorisationError(f"the authorisation {path} is damaged: it has no fields, or no digests")
    _require_all(path, fields, digests)
    signatures = record.get("signatures")
    if not isinstance(signatures, list):
        raise AuthorisationError(f"the authorisation {path} is damaged: its signatures must be a list")
    signers = frozenset(_signer(path, each, digests) for each in signatures)
    if not signers:
        raise AuthorisationError(f"the authorisation {path} is not signed: `pylfr authority sign` does that")
    return SignedAuthorisation(authorisation=parse_authorisation(path, fields), signers=signers)


def parse_authorisation(path: Path, fields: Mapping[str, object]) -> Authorisation:
    """The authorisation that ``fields`` say. Raises ``AuthorisationError`` naming each that is missing or wrong."""
    try:
        return Authorisation.model_validate(fields)
    except ValidationError as error:
        raise AuthorisationError(f"{path}: " + "; ".join(explain(each) for each in error.errors())) from error


def _require_all(path: Path, fields: dict[str, Plain], digests: dict[str, Plain]) -> None:
    """Every field is there, none is added, and each is as it was when it was signed."""
    expected = _digests(fields)
    # The first version had no settings. Where they are absent that is signed too, and no deployment fits without them.
    missing = sorted(((set(Authorisation.model_fields) - {"settings"}) | set(digests)) - set(fields))
    if missing:
        raise AuthorisationError(f"the authorisation {path} lacks {', '.join(missing)}: it must be drafted anew")
    altered = sorted(name for name, value in expected.items() if digests.get(name) != value)
    if altered:
        raise AuthorisationError(
            f"the authorisation {path} was altered after it was signed: {', '.join(altered)}; have it signed anew"
        )


def _signer(path: Path, entry: Plain, digests: dict[str, Plain]) -> PublicKey:
    try:
        if not isinstance(entry, dict):
            raise ValueError("a signature must be an object")
        key = PublicKey.parse(text_of(entry.get("key"), "key"))
        signature = base64.b64decode(text_of(entry.get("signature"), "signature"), validate=True)
    except (ValueError, binascii.Error) as error:
        raise AuthorisationError(f"the authorisation {path} is damaged: a signature cannot be read") from error
    if not key.verifies(_message(digests), signature):
        raise AuthorisationError(f"the authorisation {path}: the signature does not belong to these words")
    return key


def _digests(fields: Mapping[str, Plain]) -> dict[str, Plain]:
    return {name: digest([name, value]) for name, value in fields.items()}


def _message(digests: Mapping[str, Plain]) -> bytes:
    return _FORMAT.encode() + b"\n" + canonical(dict(digests))
