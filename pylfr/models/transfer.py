"""Fetching a network's bytes into the cache: verified on the way, complete or not at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from pylfr._internal.printable import excerpt
from pylfr._internal.regular_file import reading_file
from pylfr.errors import ModelError

# (bytes so far, total bytes or None if the server does not say)
Progress = Callable[[int, int | None], None]

_CHUNK = 1 << 20
_TIMEOUT_S = 30.0
# The largest pack in use is about 400 MB; a server that sends more than this is sending something else.
_MOST_BYTES = 2 << 30
# What zipfile raises for an archive that is damaged, encrypted or packed in a way it does not know.
_BROKEN = (EOFError, NotImplementedError, RuntimeError, ValueError, zlib.error)


class Response(Protocol):
    """The part of a response that a download needs: its bytes, and their announced number."""

    def read(self, size: int, /) -> bytes: ...
    def getheader(self, name: str, /) -> str | None: ...
    def close(self) -> None: ...


OpenUrl = Callable[[str], Response]


def open_url(url: str) -> Response:
    """The web server's response. Raises ``OSError`` if there is none."""
    request = urllib.request.Request(url, headers={"User-Agent": "pylfr"})
    response: Response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    return response


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes."""
    with reading_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(url: str, into: IO[bytes], *, open_url: OpenUrl, on_progress: Progress | None) -> None:
    """Write the content of ``url`` into a file. Raises ``ModelError`` if it cannot be fetched completely."""
    try:
        response = open_url(url)
    except OSError as error:
        raise ModelError(f"{url} cannot be fetched: {error}") from error
    try:
        length = response.getheader("Content-Length")
        total = int(length) if length is not None and length.isdigit() else None
        done = 0
        while chunk := response.read(_CHUNK):
            done += len(chunk)
            if done > _MOST_BYTES:
                raise ModelError(f"{url} must serve at most {_MOST_BYTES} bytes, it serves more")
            into.write(chunk)
            if on_progress is not None:
                on_progress(done, total)
        if total is not None and done != total:
            raise ModelError(f"{url} announced {total} bytes but ended after {done}: try again")
    except (OSError, http.client.HTTPException) as error:
        raise ModelError(f"{url} cannot be fetched: {error}; nothing was stored") from error
    finally:
        response.close()
    into.flush()


def members(archive: Path) -> dict[str, int]:
    """The networks in a zip archive by name, with their sizes in bytes."""
    with _opened(archive) as packed:
        return {info.filename: info.file_size for info in packed.infolist() if info.filename.endswith(".onnx")}


def unpack(archive: Path, member: str, into: IO[bytes], *, size_bytes: int) -> None:
    """Write the member with that file name, in any folder of the archive, into a file.

    Raises ``ModelError`` unless there is exactly one such member, of ``size_bytes``.
    """
    with _opened(archive) as packed:
        found = [info for info in packed.infolist() if info.filename.rsplit("/", 1)[-1] == member.rsplit("/", 1)[-1]]
        if "/" in member:
            found = [info for info in found if info.filename == member]
        if len(found) != 1 or found[0].file_size != size_bytes:
            held = ", ".join(f"{info.filename} ({info.file_size} bytes)" for info in packed.infolist()) or "nothing"
            raise ModelError(f"{archive} must contain one {member} of {size_bytes} bytes, it contains {held}")
        try:
            with packed.open(found[0]) as content:
                shutil.copyfileobj(content, into, _CHUNK)
        except (zipfile.BadZipFile, OSError, *_BROKEN) as error:
            raise ModelError(f"{member} cannot be unpacked from {archive}: {error}") from error
    into.flush()


@contextmanager
def arriving(destination: Path, *, sha256: str) -> Iterator[IO[bytes]]:
    """A file to write, which becomes ``destination`` if its bytes have ``sha256``; otherwise nothing is left."""
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with temporary(destination.parent) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            digest = sha256_of(Path(file.name))
            if digest != sha256:
                raise ModelError(f"{destination.name} must have sha256 {sha256}, got {digest}: nothing was stored")
            Path(file.name).replace(destination)
    except OSError as error:
        raise ModelError(f"{destination} cannot be written: {error.strerror or error}; nothing was stored") from error


@contextmanager
def temporary(folder: Path) -> Iterator[IO[bytes]]:
    """A file in ``folder`` that is removed afterwards, unless it was renamed meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".arriving-", delete=False) as file:
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with reading_file(archive) as file, zipfile.ZipFile(file) as packed:
            yield packed
    except (zipfile.BadZipFile, OSError, *_BROKEN) as error:
        raise ModelError(f"{archive} is not a zip archive: {excerpt(str(error))}") from error
