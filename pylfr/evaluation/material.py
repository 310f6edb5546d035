"""Which material something was measured on, as one digest: whoever has it can tell that it was this."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pylfr.errors import ConfigError


def material_sha256(places: Iterable[Path]) -> str:
    """sha256 over the names, below each place, and the contents of every file; 64 hexadecimal digits.

    A place is a file or a folder; folders are followed through links. Raises ``ConfigError`` where one cannot be read.
    """
    whole = hashlib.sha256()
    for place in places:
        try:
            for file in sorted(_files(place)) or [place]:
                name = file.relative_to(place).as_posix() if file != place else place.name
                with file.open("rb") as opened:
                    content = hashlib.file_digest(opened, "sha256").hexdigest()
                whole.update(f"{len(name)} {name} {content}\n".encode())
        except OSError as error:
            raise ConfigError(f"material {error.filename or place} cannot be read: {error.strerror}") from error
    return whole.hexdigest()


def _files(place: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(place, followlinks=True):
        yield from (Path(folder) / name for name in names)
