"""Whose keys count: a file outside the deployment, of its own owner, which whoever operates cannot write.

A key that the operator can make is no officer's key. The file names the officers who may authorise and those who may
sign certificates, each with a public key::

    [officers]
    "Superintendent A. Example" = "pylfr-ed25519 ..."
    [measurers]
    "Evaluation unit" = "pylfr-ed25519 ..."
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, field_validator

from pylfr._internal.regular_file import read_file
from pylfr._internal.toml_model import ConfigModel, Name, parse_tables, record_from
from pylfr.errors import AuthorisationError
from pylfr.governance.authorisation.enrolment import identity_of
from pylfr.governance.keys.keys import PublicKey

_LARGEST_FILE = 1 << 20


class _Trusted(ConfigModel):
    """The tables of the file."""

    officers: dict[Name, str] = Field(min_length=1)
    measurers: dict[Name, str] = Field(default_factory=dict)

    @field_validator("officers", "measurers")
    @classmethod
    def _are_keys(cls, named: dict[str, str]) -> dict[str, str]:
        for text in named.values():
            PublicKey.parse(text)
        return named


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRoot:
    """Who may authorise, and who may sign certificates, by their keys. ``sha256`` is that of the file.

    ``reach`` says in what way whoever runs this process could have written it; empty where nobody could.
    """

    path: Path
    officers: dict[PublicKey, str]
    measurers: dict[PublicKey, str]
    sha256: str
    reach: tuple[str, ...]

    def officer_flaw(self, key: PublicKey, name: str) -> str | None:
        """Why ``key`` is not that of the officer whom an authorisation names; None where it is."""
        known = self.officers.get(key)
        if known is None:
            return f"the key {key.fingerprint} is none of the officers' in {self.path}"
        if identity_of(known) != identity_of(name):
            return f"the key {key.fingerprint} is that of {known!r} in {self.path}, not of {name!r}"
        return None


def read_trust_root(path: Path, *, user: int | None = None) -> TrustRoot:
    """The root of trust in ``path``; ``user`` is the number of whoever runs this, without it that of the process.

    Raises ``AuthorisationError`` where it cannot be read, or does not name officers with their keys.
    """
    try:
        content = read_file(path, largest=_LARGEST_FILE)
    except OSError as error:
        raise AuthorisationError(f"the root of trust {path} cannot be read: {error.strerror}") from error
    tables = parse_tables(content, path, AuthorisationError)
    trusted = record_from(tables, _Trusted, path=path, error_kind=AuthorisationError)
    return TrustRoot(
        path=path,
        officers={PublicKey.parse(text): name for name, text in trusted.officers.items()},
        measurers={PublicKey.parse(text): name for name, text in trusted.measurers.items()},
        sha256=hashlib.sha256(content).hexdigest(),
        reach=tuple(_reach(path.absolute(), os.geteuid() if user is None else user)),
    )


def _reach(path: Path, user: int) -> Iterator[str]:
    """Every way in which a user could write the file, or put another in its place."""
    if user == 0:
        yield "root runs this, and root can write every file: run it as a user of its own"
        return
    for place in (path, *path.parents):
        found = place.stat()
        is_shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        # In a folder with the sticky bit nobody replaces what another user owns.
        if found.st_uid == user:
            yield f"{place} belongs to whoever runs this: give it another owner, for example root"
        elif is_shared and not (place.is_dir() and found.st_mode & stat.S_ISVTX):
            yield f"{place} can be written by others (mode {found.st_mode & 0o777:o}): take that away (chmod go-w)"
