"""Drafts of authorisations, and the words of the case that complete them: read before anybody signs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path

from pylfr._internal.canonical_json import Plain, utc_text
from pylfr._internal.regular_file import read_file
from pylfr._internal.strict_json import parse_json
from pylfr._internal.toml_model import read_tables
from pylfr.errors import AuthorisationError, ConfigError
from pylfr.governance.authorisation.authority import Authorisation

_LARGEST_FILE = 1 << 22
_LARGEST_NUMBER = 2**63 - 1


def read_draft(path: Path) -> dict[str, Plain]:
    """The fields of a draft, or of a signed file as it is. Raises ``AuthorisationError`` for anything else."""
    try:
        fields = parse_json(read_file(path, largest=_LARGEST_FILE))
    except OSError as error:
        raise AuthorisationError(f"the draft {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise AuthorisationError(f"{path} must be a draft or a signed authorisation (JSON): {error}") from error
    if not isinstance(fields, dict):
        raise AuthorisationError(
            f"{path} must be a draft or a signed authorisation (a JSON object), got {type(fields).__name__}"
        )
    return fields


def read_case(path: Path, drafted: Mapping[str, object]) -> dict[str, Plain]:
    """The words of a case (TOML) that complete what was ``drafted``: purpose, necessity, officers, window, references.

    Raises ``ConfigError`` for a field that no authorisation has, that the deployment says already, or whose value
    cannot be signed.
    """
    words = read_tables(path, ConfigError)
    unknown = sorted(set(words) - set(Authorisation.model_fields))
    if unknown:
        raise ConfigError(f"{path}: an authorisation has no {unknown[0]!r}; it has {', '.join(drafted)}")
    measured = sorted(name for name in words if drafted.get(name, "") not in ("", False, None))
    if measured:
        raise ConfigError(f"{path}: {measured[0]!r} comes from the deployment and cannot be stated")
    try:
        return {name: _signable(value) for name, value in words.items()}
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error


def _signable(value: object) -> Plain:
    """``value`` as JSON has it. Raises ``ValueError`` for what JSON has not."""
    match value:
        case None | bool() | str():
            return value
        case int() if abs(value) <= _LARGEST_NUMBER:
            return value
        case float() if math.isfinite(value):
            return value
        case datetime() if value.tzinfo is not None:
            try:
                return utc_text(value)
            except OverflowError as error:
                raise ValueError(f"{value} cannot be expressed in UTC") from error
        case datetime() | date() | time():
            raise ValueError(f"a time must be a day and an hour with their zone, got {value}: 2026-03-01T09:00:00Z")
        case list():
            return [_signable(each) for each in value]
        case dict():
            return {str(name): _signable(each) for name, each in value.items()}
    raise ValueError(f"an authorisation cannot hold this number: {str(value)[:40]}")
