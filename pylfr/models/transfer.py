"""A network's bytes into the cache and out of it: verified on the way, complete or not at all."""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pylfr._internal.printable import excerpt
from pylfr._internal.regular_file import reading_file
from pylfr.errors import ModelError

_CHUNK = 1 << 20
# What zipfile raises for an archive that is damaged, encrypted or packed in a way it does not know.
_BROKEN = (EOFError, NotImplementedError, RuntimeError, ValueError, zlib.error, lzma.LZMAError)


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes."""
    with reading_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def pack(files: dict[str, Path], note: str, into: Path) -> None:
    """Write a zip archive of those files by name, and of a README, whole or not at all. Raises ``ModelError``."""
    try:
        with temporary(into.parent) as file:
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr("README.txt", note)
                for name, path in files.items():
                    archive.write(path, name)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(into)
    except OSError as error:
        raise ModelError(f"{into} cannot be written: {error.strerror or error}; nothing was stored") from error


def accept(arrived: Path, destination: Path, *, sha256: str) -> None:
    """Make a file that arrived ``destination`` if its bytes have ``sha256``. Raises ``ModelError`` otherwise."""
    with arrived.open("rb") as file:
        os.fsync(file.fileno())
    digest = sha256_of(arrived)
    if digest != sha256:
        raise ModelError(f"{destination.name} must have sha256 {sha256}, got {digest}: nothing was stored")
    arrived.replace(destination)


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
