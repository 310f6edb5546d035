"""Files that are whole or not there: what a crash leaves half-written is known by its name, and swept."""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# What is being written, or erased, has a dot before its name and this after it. Nobody else's files end so.
PART: Final = ".pylfr-part"


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` into ``path``, for its owner alone, in place of what was there: on the disk, or not at all.

    Raises ``OSError`` where that fails.
    """
    while True:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
        part = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if not os.fstat(descriptor).st_nlink:
                    continue  # a sweeper came between making and locking
                file.write(content)
                file.flush()
                os.fsync(descriptor)
                part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
        return


def sync_folder(folder: Path) -> None:
    """Put on the disk which files there are: until then a power cut may undo that one was made, or was renamed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep_parts(folder: Path) -> Iterator[str]:
    """Remove what a crash left half-written or half-erased; the name of each. What somebody still writes stays."""
    for path in sorted(folder.glob(f".*{PART}")):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            path.unlink(missing_ok=True)
            yield path.name
        finally:
            os.close(descriptor)


def erase(path: Path) -> None:
    """Overwrite and remove. A crash on the way leaves a part that is swept, not half of a file that looks whole.

    On flash and on copying file systems old blocks may outlive this: encrypt the disk.
    """
    part = path.with_name(f".{path.name}{PART}")
    path.replace(part)
    with part.open("r+b") as file:
        file.write(secrets.token_bytes(part.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
    part.unlink()
