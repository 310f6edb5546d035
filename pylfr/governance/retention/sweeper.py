"""Erases what a deployment may no longer retain, on time: also after a crash, and when nothing ran at the deadline."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pylfr._internal.atomic_file import sweep_parts, write_together
from pylfr._internal.canonical_json import Plain, canonical, utc_text
from pylfr._internal.duration import duration_text
from pylfr._internal.regular_file import read_file
from pylfr._internal.strict_json import moment_of, parse_json
from pylfr.errors import VaultError
from pylfr.governance.authorisation.profiles import Profile
from pylfr.governance.keys.vault import VaultKey

SUFFIX = ".sealed"
# What replaces an erased line, followed by blanks.
_LARGEST_SEALED: Final = 1 << 28
_ERASED: Final = b'{"type":"erased"}'
# How pylfr's own files begin, or are called: nothing else is ever erased, whatever a setting names.
_SEALED_BEGINS: Final = b'{"erase_at":"'
_LINES_BEGIN: Final = (b'{"type": "alert"', _ERASED, b"\0")
_PICTURE: Final = re.compile(r"\d{8}T\d{9}-.+-\d+-[0-9a-f]{8}\.jpg")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """How long things are retained. The sweeper and the published sentences both use these numbers."""

    alerts: timedelta
    watchlist: timedelta
    outcomes: timedelta

    @classmethod
    def of(cls, profile: Profile) -> RetentionPolicy:
        """What a jurisdiction's profile asks for."""
        return cls(
            alerts=timedelta(hours=profile.alert_retention_h),
            watchlist=timedelta(hours=profile.watchlist_retention_h),
            outcomes=timedelta(days=profile.outcome_retention_days),
        )

    def sentences(self) -> tuple[str, ...]:
        """The policy as it is published."""
        return (
            "Video is not recorded.",
            "Templates of people who pass are overwritten when their batch has been searched.",
            "Evidence pictures, lines in files, and who was possibly matched, are erased "
            f"{duration_text(self.alerts)} after the alert.",
            f"Who decided on an alert, and at what time of the day, is erased {self.outcomes.days} days after it; what "
            "was decided stays, as a count.",
            "The audit log stays: it names who decided, as the law asks, and nobody who was seen.",
            f"The key of the watchlist is destroyed {duration_text(self.watchlist)} after the window ends, at the "
            "latest.",
        )


def write_sealed(folder: Path, name: str, content: bytes, key: VaultKey, *, erase_at: datetime) -> Path:
    """Write ``content`` into ``folder``, encrypted, whole or not at all, to be erased at ``erase_at``."""
    write_sealed_together(folder, {name: content}, key, erase_at=erase_at)
    return folder / f"{name}{SUFFIX}"


def write_sealed_together(folder: Path, contents: Mapping[str, bytes], key: VaultKey, *, erase_at: datetime) -> None:
    """As ``write_sealed``, of several by their names, which are synced to the disk together."""
    sealed = {}
    for name, content in contents.items():
        about: dict[str, Plain] = {"name": name, "erase_at": utc_text(erase_at)}
        sealed[folder / f"{name}{SUFFIX}"] = canonical(about) + b"\n" + key.seal(content, about)
    write_together(sealed)


def read_sealed(path: Path, key: VaultKey, *, now: datetime) -> bytes:
    """What was sealed in ``path``. Raises ``VaultError`` where it is over, was changed, or has another key."""
    about, sealed = _parts(path)
    try:
        erase_at = moment_of(about.get("erase_at"), "erase_at")
    except ValueError as error:
        raise VaultError(f"{path} is damaged: {error}") from error
    if now >= erase_at:
        path.unlink()
        raise VaultError(f"{path} was to be erased at {about['erase_at']}, and is now")
    return key.open(sealed, about)


def sweep(folder: Path, *, now: datetime) -> Iterator[str]:
    """Erase what is over, what cannot be read, and what a crash left half-written; the name of each.

    Files that pylfr did not seal are left as they are.
    """
    yield from sweep_parts(folder)
    for path in _sealed(folder):
        if now >= _sealed_until(path, now=now):
            path.unlink(missing_ok=True)
            yield path.name


def sealed_times(folder: Path, *, now: datetime) -> Iterator[datetime]:
    """When each sealed file in ``folder`` will be erased; now, for one that cannot be read."""
    return (_sealed_until(path, now=now) for path in _sealed(folder))


def sweep_lines(path: Path, *, retention: timedelta, now: datetime) -> int:
    """Overwrite each line (JSON with ``recorded_at``) whose time is over with as many blanks; how many there were.

    The file is not replaced, so that writers may append meanwhile. A line that cannot be read is erased too, because
    nobody can tell how long it may be retained. So is an unfinished last line, unless a writer has the file open (and
    holds a shared lock to say so): it is overwritten and cut off. Raises ``VaultError`` for a file that does not begin
    with a line of pylfr's: it is left as it is.
    """
    _require_lines(path)
    erased = 0
    with path.open("r+b") as file:
        place = 0
        for line in file:
            start, place = place, place + len(line)
            if line.endswith(b"\n") and _is_over(line, retention, now):
                os.pwrite(file.fileno(), _ERASED.ljust(len(line) - 1)[: len(line) - 1], start)
                erased += 1
            elif not line.endswith(b"\n") and _is_left_alone(file.fileno()):
                os.pwrite(file.fileno(), bytes(len(line)), start)
                os.fsync(file.fileno())
                os.ftruncate(file.fileno(), start)
                erased += 1
        os.fsync(file.fileno())
    return erased


def line_times(path: Path, *, retention: timedelta, now: datetime) -> Iterator[datetime]:
    """When each line will be erased that was not yet; now, for one that cannot be read.

    Nothing in a file that does not begin with a line of pylfr's ever is.
    """
    if not _begins_with(path, _LINES_BEGIN):
        return
    with path.open("rb") as file:
        for line in file:
            if line.strip() and not line.startswith(_ERASED):
                yield _line_until(line, retention, now)


def picture_times(folder: Path, *, retention: timedelta) -> Iterator[datetime]:
    """When each picture (JPEG) that lies in the open in ``folder`` will be erased."""
    for path in _pictures(folder):
        yield datetime.fromtimestamp(path.stat().st_mtime, UTC) + retention


def sweep_pictures(folder: Path, *, retention: timedelta, now: datetime) -> Iterator[str]:
    """Erase pictures (JPEG) that lie in the open and were written longer ago than ``retention``; the name of each."""
    for path in _pictures(folder):
        if path.stat().st_mtime + retention.total_seconds() <= now.timestamp():
            path.unlink(missing_ok=True)
            yield path.name


def _is_over(line: bytes, retention: timedelta, now: datetime) -> bool:
    if not line.strip() or line.startswith(_ERASED):
        return False
    return now >= _line_until(line, retention, now)


def _line_until(line: bytes, retention: timedelta, now: datetime) -> datetime:
    """When a line must be erased; now, where nobody can say."""
    try:
        alert = parse_json(line)
        return moment_of(alert.get("recorded_at") if isinstance(alert, dict) else None, "recorded_at") + retention
    except (ValueError, OverflowError):
        return now


def _sealed(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob(f"*{SUFFIX}")) if _begins_with(path, (_SEALED_BEGINS,))]


def _pictures(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.jpg"))
    return [path for path in found if _PICTURE.fullmatch(path.name) and path.is_file() and not path.is_symlink()]


def _require_lines(path: Path) -> None:
    if path.is_symlink() or not path.is_file():
        raise VaultError(f"{path} is no file of alerts: it is left as it is")
    if path.stat().st_size and not _begins_with(path, _LINES_BEGIN):
        raise VaultError(f"{path} does not begin with an alert, as a file of pylfr's does: it is left as it is")


def _begins_with(path: Path, beginnings: tuple[bytes, ...]) -> bool:
    """Whether this is a regular file, no link, with one of these beginnings, or cut off within one."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(max(map(len, beginnings)))
    return any(head.startswith(each) or (head and each.startswith(head)) for each in beginnings)


def _sealed_until(path: Path, *, now: datetime) -> datetime:
    """When a sealed file must be erased; now, where nobody can open it, or say until when it may be retained."""
    try:
        return datetime.fromisoformat(str(_parts(path)[0]["erase_at"]))
    except (VaultError, ValueError, KeyError, TypeError):
        return now


def _is_left_alone(descriptor: int) -> bool:
    """Whether nobody is writing to the file; if so, nobody can until the descriptor is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _parts(path: Path) -> tuple[dict[str, Plain], bytes]:
    try:
        line, _, sealed = read_file(path, largest=_LARGEST_SEALED).partition(b"\n")
        about = parse_json(line)
    except (OSError, ValueError) as error:
        raise VaultError(f"{path} cannot be read: it is damaged or gone") from error
    if not isinstance(about, dict):
        raise VaultError(f"{path} is damaged")
    return about, sealed
