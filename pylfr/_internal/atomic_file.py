"""Files that are whole or absent: what a crash leaves half-written is recognised by its name, and swept."""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

from pylfr._internal.regular_file import NotAFileError, opened_file, overwrite_and_unlink, unlink_open

# A file that is being written, or erased, has a dot before its name and this after it. Nobody else's files end so.
PART: Final = ".pylfr-part"


def write_whole(path: Path, content: bytes) -> None:
    """Replace ``path`` with ``content``, readable for its owner alone: synced to the disk, or unchanged.

    Raises ``OSError`` where that fails.
    """
    _write(path, content, lambda part: part.replace(path))


def write_result(path: Path, content: bytes, *, is_private: bool = False) -> None:
    """Replace ``path`` with a result, whole or unchanged, with the mode of any new file or for its owner alone.

    What names people is private (``is_private``). A link stays and its target is replaced; a pipe or a device
    (``/dev/stdout``) is written to. Raises ``OSError``.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if is_private else 0o666)
        with os.fdopen(descriptor, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # no sweeper takes it for the rest of a crash
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_new(path: Path, content: bytes) -> None:
    """As ``write_whole``, where there is nothing yet. Raises ``FileExistsError`` where there is: of two, one wins."""

    def put(part: Path) -> None:
        try:
            path.hardlink_to(part)
        except FileExistsError:
            raise
        except OSError:
            # A file system without links (FAT): a crash may leave an empty file.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            part.replace(path)
        else:
            part.unlink()

    _write(path, content, put)


def write_together(files: Mapping[Path, bytes]) -> None:
    """As ``write_whole`` for files of one folder, which are synced together; after a crash some may be there."""
    with ExitStack() as open_parts:
        parts: list[tuple[int, Path, Path]] = []
        for path, content in files.items():
            file, part = open_parts.enter_context(_new_part(path))
            file.write(content)
            file.flush()
            parts.append((file.fileno(), part, path))
        # At the same time: a file system writes its journal once for all of them.
        with ThreadPoolExecutor(max(1, len(parts))) as syncing:
            list(syncing.map(os.fsync, [descriptor for descriptor, _, _ in parts]))
        for _, part, path in parts:
            part.replace(path)
    for folder in {path.parent for path in files}:
        sync_folder(folder)


def _write(path: Path, content: bytes, put: Callable[[Path], object]) -> None:
    with _new_part(path) as (file, part):
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        put(part)
    sync_folder(path.parent)


@contextmanager
def _new_part(path: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """An empty file beside ``path``, which no sweeper takes; it is removed where the block raises."""
    while True:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
        part = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if not os.fstat(descriptor).st_nlink:
                    continue  # a sweeper came between creating and locking
                yield file, part
                return
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def sync_folder(folder: Path) -> None:
    """Sync the folder itself: until then a power cut may undo that a file in it was created or renamed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep_parts(folder: Path) -> Iterator[str]:
    """Remove what a crash left half-written or half-erased; the name of each. What somebody still writes stays.

    A folder, a link or a pipe of such a name is nobody's half-written file, and stays too.
    """
    for path in sorted(folder.glob(f".*{PART}")):
        try:
            with opened_file(path) as descriptor:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                unlink_open(descriptor, path)
        except (BlockingIOError, FileNotFoundError, NotAFileError):
            continue
        yield path.name


def erase(path: Path) -> None:
    """Overwrite and remove a file. A crash on the way leaves a part that is swept, not half of a file.

    Raises ``NotAFileError``, and touches nothing, for a link, a folder or a pipe. On flash and on copying file systems
    old blocks may outlive this: encrypt the disk.
    """
    with opened_file(path, writable=True) as descriptor:
        part = path.with_name(f".{path.name}{PART}")
        path.replace(part)
        overwrite_and_unlink(descriptor, part)
