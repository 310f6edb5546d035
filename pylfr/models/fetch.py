"""One network from one address into the cache: continued where it broke off, verified, complete or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pylfr.errors import ModelError
from pylfr.models import transfer
from pylfr.models.download import OpenUrl, Progress, download, partial_file
from pylfr.models.manifest import ModelManifest


def fetch_from(
    address: str, manifest: ModelManifest, cache: Path, *, open_url: OpenUrl, on_progress: Progress | None
) -> None:
    """Put the network of a manifest with hash and size into the cache, from its own address or a mirror's.

    Raises ``ModelError`` if it comes incompletely (the next try resumes it), is another file (nothing is
    kept), or cannot be written.
    """
    source = manifest.source
    if source.sha256 is None or source.size_bytes is None:
        raise ModelError(f"{manifest.name} has no sha256 and size in its manifest: it cannot be fetched")
    destination = cache / manifest.file
    member = source.member if address == source.url else None  # mirrors serve networks, not packs of them
    key = hashlib.sha256(f"{source.sha256} {member and address}".encode()).hexdigest()
    partial = cache / f".{manifest.file}.{key[:16]}.part"
    try:
        with partial_file(partial) as file:
            if member is not None or file.tell() < source.size_bytes:
                download(address, file, open_url=open_url, on_progress=on_progress)
            try:
                if member is None:
                    transfer.accept(partial, destination, sha256=source.sha256)
                else:
                    with transfer.arriving(destination, sha256=source.sha256) as unpacked:
                        transfer.unpack(partial, member, unpacked, size_bytes=source.size_bytes)
            finally:
                partial.unlink(missing_ok=True)  # it came whole: either it became the network, or it is another file
    except OSError as error:
        raise ModelError(f"{partial} cannot be written: {error.strerror or error}") from error
