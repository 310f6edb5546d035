"""Was somebody on a watchlist that is gone? A signed list of digests of record references answers, and names nobody."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from pylfr.errors import WatchlistError
from pylfr.governance.canonical import Plain, canonical
from pylfr.governance.keys import PublicKey, SigningKey

_FORMAT = "pylfr-listed-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedManifest:
    """Who was on a watchlist: slow, salted digests of their record references, and nothing else of them."""

    watchlist: str
    salt: bytes
    digests: frozenset[str]

    def holds(self, reference: str) -> bool:
        """Whether this record reference was listed."""
        return _slow_digest(reference, self.salt) in self.digests


def write_manifest(path: Path, *, watchlist: str, references: Iterable[str], key: SigningKey) -> None:
    """Write who is on the list with digest ``watchlist``, signed. Raises ``FileExistsError`` where there is a file."""
    salt = secrets.token_bytes(16)
    digests: list[Plain] = [*sorted(_slow_digest(each, salt) for each in references)]
    said: dict[str, Plain] = {
        "format": _FORMAT, "watchlist": watchlist, "salt": salt.hex(), "digests": digests,
    }  # fmt: skip
    signature = base64.b64encode(key.sign(canonical(said))).decode("ascii")
    with path.open("xb") as file:
        file.write(json.dumps({**said, "signature": signature}, indent=1).encode() + b"\n")


def read_manifest(path: Path, key: PublicKey) -> ListedManifest:
    """The manifest in ``path``. Raises ``WatchlistError`` where it is missing, damaged, or not signed with ``key``."""
    try:
        said = json.loads(path.read_bytes())
        signature = base64.b64decode(said.pop("signature"), validate=True)
        if said["format"] != _FORMAT:
            raise ValueError("another format")
        manifest = ListedManifest(
            watchlist=said["watchlist"], salt=bytes.fromhex(said["salt"]), digests=frozenset(said["digests"])
        )
    except OSError as error:
        raise WatchlistError(f"the manifest {path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WatchlistError(f"{path} must be a manifest that `pylfr watchlist seal` wrote: it is damaged") from error
    if not key.verifies(canonical(said), signature):
        raise WatchlistError(f"the manifest {path} was changed, or signed with another key")
    return manifest


def _slow_digest(reference: str, salt: bytes) -> str:
    """A digest that costs about 50 ms, so that nobody tries every name there is."""
    spelling = " ".join(reference.split()).casefold()
    return Scrypt(salt=salt, length=32, n=2**14, r=8, p=1).derive(spelling.encode()).hex()
