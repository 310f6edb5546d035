"""Files that are read, overwritten or removed only where they are files: no link, no folder, no pipe, no device."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_BLOCK = 1 << 20
# More than any file that somebody writes or signs; what may be larger is read with its own limit.
LARGEST_DOCUMENT = 1 << 24


class NotAFileError(OSError):
    """The path names something that is no regular file."""


@contextmanager
def opened_file(path: Path, *, writable: bool = False, follow: bool = False) -> Iterator[int]:
    """A descriptor of a regular file, closed afterwards.

    Raises ``NotAFileError`` for a folder, a pipe or a device, which it does not wait for, and for a link unless it may
    ``follow`` it, and ``OSError``.
    """
    flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_NONBLOCK | os.O_CLOEXEC
    _require_file(path, path.stat(follow_symlinks=follow).st_mode)
    descriptor = os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    try:
        _require_file(path, os.fstat(descriptor).st_mode)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def reading_file(path: Path) -> Iterator[BufferedReader]:
    """A file, or the one a link leads to, open for reading. Raises ``OSError`` as ``opened_file`` does."""
    with opened_file(path, follow=True) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
        yield file


def read_file(path: Path, *, largest: int = LARGEST_DOCUMENT) -> bytes:
    """The content of a file, or of the one a link leads to.

    Raises ``OSError`` as ``opened_file`` does, and for more than ``largest`` bytes.
    """
    with opened_file(path, follow=True) as descriptor:
        return read_from(descriptor, path, largest=largest)


def read_from(descriptor: int, path: Path, *, largest: int) -> bytes:
    """What a descriptor of a regular file holds. Raises ``OSError`` for more than ``largest`` bytes."""
    size = os.fstat(descriptor).st_size
    if size > largest:
        raise OSError(errno.EFBIG, f"it has {size:,} bytes, at most {largest:,} are expected", str(path))
    parts: list[bytes] = []
    place = 0
    # One call reads at most 2 GiB; memory is taken for what is there, not for what may be.
    while part := os.pread(descriptor, max(1, min(size - place, _BLOCK << 6)), place):
        parts.append(part)
        place += len(part)
        if place > largest:
            raise OSError(errno.EFBIG, f"it grew beyond {largest:,} bytes", str(path))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def overwrite_and_unlink(descriptor: int, path: Path) -> None:
    """Overwrite an open file and remove it, unless another one has taken its name meanwhile.

    On flash and on copying file systems old blocks may outlive this: encrypt the disk.
    """
    left, place = os.fstat(descriptor).st_size, 0
    while left > 0:
        written = os.pwrite(descriptor, secrets.token_bytes(min(left, _BLOCK)), place)
        place, left = place + written, left - written
    os.fsync(descriptor)
    unlink_open(descriptor, path)


def unlink_open(descriptor: int, path: Path) -> None:
    """Remove an open file, unless another one has taken its name meanwhile."""
    if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
        path.unlink()


def _require_file(path: Path, mode: int) -> None:
    for is_kind, name in _KINDS:
        if is_kind(mode):
            raise NotAFileError(errno.EINVAL, f"it is {name} where a file belongs", str(path))
