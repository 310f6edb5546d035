"""A user's decisions: licences accepted by name, and hashes of imported networks that no manifest pins."""

from __future__ import annotations

import getpass
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pylfr._internal.regular_file import read_file
from pylfr.errors import ModelError


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One line of the ledger: what was accepted or recorded, by whom and when (UTC)."""

    kind: Literal["licence", "sha256"]
    subject: str
    value: str
    user: str
    noted_at: str


class Ledger:
    """An append-only file of notes, one JSON object per line; the latest note on a subject counts."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def accepts(self, licence: str) -> bool:
        """Whether the user has accepted that licence."""
        return any(note.kind == "licence" and note.subject == licence for note in self._notes())

    def accept(self, licence: str) -> None:
        self._append("licence", licence, "accepted")

    def sha256_of(self, name: str) -> str | None:
        """The hash under which the user imported the network of that name."""
        seen = [note.value for note in self._notes() if note.kind == "sha256" and note.subject == name]
        return seen[-1] if seen else None

    def record_sha256(self, name: str, sha256: str) -> None:
        self._append("sha256", name, sha256)

    def _append(self, kind: Literal["licence", "sha256"], subject: str, value: str) -> None:
        note = Note(
            kind=kind,
            subject=subject,
            value=value,
            user=getpass.getuser(),
            noted_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(note)) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ModelError(
                f"{self._path} cannot be written ({error.strerror}): {kind} {subject} is not recorded"
            ) from error

    def _notes(self) -> list[Note]:
        try:
            lines = read_file(self._path).decode().splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{self._path} cannot be read: {error}") from error
        try:
            return [Note(**json.loads(line)) for line in lines if line]
        except (ValueError, TypeError, RecursionError) as error:
            raise ModelError(
                f"{self._path} is damaged ({error}): repair or remove it, then accept licences again"
            ) from error
