"""The sealed watchlist as the head hands it out: the file of now, checked as a single engine would check it."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from pylfr.deployment.resources import Resources
from pylfr.engine.summary import watchlist_turned
from pylfr.errors import ConfigError, WatchlistAwayError, WatchlistError
from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.digests import require_nothing_added
from pylfr.gallery.watchlist.sealed import connect_either, sealed_revision
from pylfr.governance.keys.vault import VaultKey

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedList:
    """One revision: the sealed file, its sha256, its revision."""

    content: bytes
    sha256: str
    revision: int


class SharedWatchlist:
    """Follows the file of the deployment. Entries may be removed from it, and none added that was not authorised.

    Where it is gone or cannot be read, the last revision counts for the deployment's ``grace_s``.
    """

    def __init__(
        self,
        resources: Resources,
        *,
        authorised: frozenset[str] | None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resources = resources
        self._path = resources.deployment.watchlist.file
        self._authorised = authorised
        self._grace_s = resources.deployment.watchlist.grace_s
        self._clock_s = clock_s
        self._away_since_s: float | None = None
        self._seen: tuple[int, int, int] | None = None
        self._current: SealedList | None = None

    @property
    def key(self) -> VaultKey:
        """The key that seals it. Raises ``ConfigError`` where it has none: a watchlist leaves a machine sealed."""
        key = self._resources.watchlist_key
        if key is None:
            raise ConfigError(
                "a cluster needs a sealed watchlist, which alone may leave this machine: `pylfr watchlist seal`, and "
                "name its key in [watchlist]"
            )
        return key

    def now(self) -> SealedList:
        """The newest revision. Raises ``WatchlistError`` where no engine may search it."""
        try:
            newest = self._newest()
        except WatchlistAwayError as error:
            return self._last(error)
        if self._away_since_s is not None:
            self._resources.audit.note(watchlist_turned(""))
        self._away_since_s = None
        return newest

    def _last(self, error: WatchlistAwayError) -> SealedList:
        """The last revision, while the newest cannot be had, for a time."""
        now_s = self._clock_s()
        if self._current is None:
            raise error
        if self._away_since_s is None:
            self._away_since_s = now_s
            log.warning("the last revision of the watchlist is used: %s", error)
            self._resources.audit.note(watchlist_turned(str(error)))
        if now_s - self._away_since_s >= self._grace_s:
            raise WatchlistError(f"{error}; it has been so for {self._grace_s:g} s") from error
        return self._current

    def _newest(self) -> SealedList:
        try:
            state = self._path.stat()
        except OSError as error:
            raise WatchlistAwayError(f"the watchlist {self._path} is gone ({error.strerror})") from error
        seen = state.st_mtime_ns, state.st_size, state.st_ino
        if self._current is None or seen != self._seen:
            self._current, self._seen = self._checked(), seen
        return self._current

    def _checked(self) -> SealedList:
        path, key = self._path, self.key
        content = self._content()
        revision = sealed_revision(path)[1]
        if self._current is not None and revision < self._current.revision:
            raise WatchlistError(
                f"the sealed watchlist {path} is an older one than before: somebody who was taken off may be back"
            )
        with closing(connect_either(path, key)) as connection, sqlite_file.reading(connection):
            if self._authorised is not None:
                require_nothing_added(connection, path, self._authorised)
            self._resources.withdrawn.require_none(connection, path)
        if self._content() != content:
            # Replaced while it was checked: the next look takes the new one.
            os.utime(path)
            return self._checked()
        return SealedList(content=content, sha256=hashlib.sha256(content).hexdigest(), revision=revision)

    def _content(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise WatchlistAwayError(f"the watchlist {self._path} cannot be read ({error.strerror})") from error
