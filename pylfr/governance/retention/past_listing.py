"""Was somebody on a watchlist that is gone? A signed list of digests of record references answers, and names nobody."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from pylfr._internal.atomic_file import write_new, write_whole
from pylfr._internal.canonical_json import Plain, canonical, utc_text
from pylfr._internal.regular_file import read_file
from pylfr._internal.strict_json import integer_of, moment_of, parse_object, text_of
from pylfr.errors import WatchlistError
from pylfr.governance.authorisation.enrolment import ReviewedReference, enrollers_of
from pylfr.governance.keys.keys import PublicKey, SigningKey

_FORMAT = "pylfr-listed-2"
_LARGEST_FILE = 1 << 28


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedManifest:
    """Who was on a watchlist: slow, salted digests of their record references, and nothing else of them.

    ``withdrawn`` gives the time at which an entry was taken off, by its digest; ``references`` and ``reviewed`` count
    reference images, ``enrollers`` the people who proposed or reviewed them.
    """

    watchlist: str
    salt: bytes
    digests: frozenset[str]
    withdrawn: Mapping[str, datetime]
    references: int
    reviewed: int
    enrollers: int

    def holds(self, reference: str) -> bool:
        """Whether this record reference was listed, be it for a part of the time."""
        return _slow_digest(reference, self.salt) in self.digests

    def withdrawn_at(self, reference: str) -> datetime | None:
        """When this record reference was taken off; None for one that was not."""
        return self.withdrawn.get(_slow_digest(reference, self.salt))

    def said(self) -> dict[str, Plain]:
        """What is signed."""
        return {
            "format": _FORMAT,
            "watchlist": self.watchlist,
            "salt": self.salt.hex(),
            "digests": [*sorted(self.digests)],
            "withdrawn": {each: utc_text(at) for each, at in sorted(self.withdrawn.items())},
            "references": self.references,
            "reviewed": self.reviewed,
            "enrollers": self.enrollers,
        }


def write_manifest(
    path: Path,
    *,
    watchlist: str,
    references: Iterable[str],
    key: SigningKey,
    origins: Iterable[ReviewedReference] = (),
) -> None:
    """Write who is on the list with digest ``watchlist``, signed. Raises ``FileExistsError`` where there is a file.

    Of ``origins``, where its reference images come from, only counts are stored.
    """
    salt = secrets.token_bytes(16)
    origins = tuple(origins)
    manifest = ListedManifest(
        watchlist=watchlist,
        salt=salt,
        digests=frozenset(_slow_digest(each, salt) for each in references),
        withdrawn={},
        references=len(origins),
        reviewed=sum(each.review is not None for each in origins),
        enrollers=len(enrollers_of(origins)),
    )
    write_new(path, _signed(manifest, key))


def note_withdrawn(path: Path, reference: str, *, at: datetime, key: SigningKey) -> None:
    """Add to the manifest in ``path`` that a record reference was taken off, and sign it anew.

    Raises ``WatchlistError`` where the manifest was not signed with ``key``, or does not hold this reference.
    """
    manifest = read_manifest(path, key.public)
    if not manifest.holds(reference):
        raise WatchlistError(f"the manifest {path} does not hold {reference!r}: it belongs to another watchlist")
    manifest = ListedManifest(
        watchlist=manifest.watchlist,
        salt=manifest.salt,
        digests=manifest.digests,
        withdrawn={_slow_digest(reference, manifest.salt): at} | dict(manifest.withdrawn),
        references=manifest.references,
        reviewed=manifest.reviewed,
        enrollers=manifest.enrollers,
    )
    write_whole(path, _signed(manifest, key))


def read_manifest(path: Path, key: PublicKey) -> ListedManifest:
    """The manifest in ``path``. Raises ``WatchlistError`` where it is missing, damaged, or not signed with ``key``."""
    try:
        said = parse_object(read_file(path, largest=_LARGEST_FILE))
        signature = base64.b64decode(text_of(said.pop("signature", None), "signature"), validate=True)
        manifest = _manifest(said)
    except OSError as error:
        raise WatchlistError(f"the manifest {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise WatchlistError(
            f"{path} must be a manifest that `pylfr watchlist seal` wrote, it is damaged: {error}"
        ) from error
    if not key.verifies(canonical(said), signature):
        raise WatchlistError(f"the manifest {path} was changed, or signed with another key")
    return manifest


def _manifest(said: dict[str, Plain]) -> ListedManifest:
    """The manifest that was ``said``. Raises ``ValueError`` naming what is wrong with it."""
    if said.get("format") != _FORMAT:
        raise ValueError(f"its format must be {_FORMAT!r}")
    digests, withdrawn = said.get("digests"), said.get("withdrawn")
    if not isinstance(digests, list) or not isinstance(withdrawn, dict):
        raise ValueError("it has no list of digests, or of who was withdrawn")
    return ListedManifest(
        watchlist=text_of(said.get("watchlist"), "watchlist"),
        salt=bytes.fromhex(text_of(said.get("salt"), "salt")),
        digests=frozenset(text_of(each, "a digest") for each in digests),
        withdrawn={each: moment_of(at, "withdrawn") for each, at in withdrawn.items()},
        references=integer_of(said.get("references"), "references"),
        reviewed=integer_of(said.get("reviewed"), "reviewed"),
        enrollers=integer_of(said.get("enrollers"), "enrollers"),
    )


def _signed(manifest: ListedManifest, key: SigningKey) -> bytes:
    said = manifest.said()
    signature = base64.b64encode(key.sign(canonical(said))).decode("ascii")
    return json.dumps({**said, "signature": signature}, indent=1).encode() + b"\n"


def _slow_digest(reference: str, salt: bytes) -> str:
    """A digest that costs about 50 ms, so that nobody tries every name there is."""
    spelling = " ".join(reference.split()).casefold()
    return Scrypt(salt=salt, length=32, n=2**14, r=8, p=1).derive(spelling.encode()).hex()
