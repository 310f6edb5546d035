"""The watchlist of the deployment as its keepers see it: who is on it and why; enrol, review, withdraw."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from pylfr.deployment.resources import Resources, require_key
from pylfr.errors import PylfrError, WatchlistError
from pylfr.faces.detect import FaceDetector, open_detector
from pylfr.faces.embed import FaceEmbedder, open_embedder
from pylfr.gallery.watchlist.sealed import is_sealed
from pylfr.gallery.watchlist.watchlist import Entry, Watchlist, open_watchlist
from pylfr.gallery.watchlist.withdrawal import withdraw
from pylfr.governance.authorisation.enrolment import Origin, ReviewedReference
from pylfr.service.deployment_views import EnrolmentAsked, ListedPersonView, OriginView, WatchlistView
from pylfr.types import Event
from pylfr.video.isolation.client import read_image_isolated


class Listing:
    """Opens the watchlist anew for each request; the networks for enrolment are opened once, when they are needed."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._lock = threading.Lock()
        self._networks: tuple[FaceDetector, FaceEmbedder] | None = None
        # The file as it was when it was read, and the category of each entry in it.
        self._read: tuple[int, int, int] | None = None
        self._categories: dict[str, str] = {}

    def show(self) -> WatchlistView:
        """Everybody on the list, in the order of enrolment, with the origins of their images."""
        with self._open(to_read=True) as watchlist:
            entries = watchlist.entries()
            return WatchlistView(
                revision=watchlist.revision,
                sealed=self._is_sealed,
                policy=watchlist.profile,
                categories=list(self._resources.profile.categories),
                entries=[_listed(entry, watchlist.references(entry.name)) for entry in entries],
            )

    def category_of(self, name: str) -> str | None:
        """Under which category an entry is on the list now; None without one, or where the list cannot be read."""
        try:
            found = self._resources.deployment.watchlist.file.stat()
            read = (found.st_ino, found.st_mtime_ns, found.st_size)
            if read != self._read:
                with self._open(to_read=True) as watchlist:
                    entries = watchlist.entries()
                self._categories = {each.name: each.category for each in entries if each.category is not None}
                self._read = read
        except (PylfrError, OSError):
            self._read, self._categories = None, {}
        return self._categories.get(name)

    def enrol(self, asked: EnrolmentAsked, *, by: str) -> ListedPersonView:
        """Add a reference image to a plain watchlist, proposed by ``by``.

        Raises ``EnrolmentError`` with every reason of the gate and of the policy, ``MediaError`` where the image cannot
        be read, ``WatchlistError`` where the list is sealed, or this picture is enrolled under that name already.
        """
        self._require_plain("enrolled")
        digest = hashlib.sha256(asked.picture).hexdigest()
        origin = Origin(
            source=asked.source,
            lawful_basis=asked.lawful_basis,
            captured_on=asked.captured_on,
            proposed_by=by,
        )
        with self._lock, self._open() as watchlist:
            if (asked.name, digest) in watchlist.enrolled_files():
                raise WatchlistError(f"this picture is enrolled as {asked.name!r} already: a second time adds nothing")
            detector, embedder = self._opened_networks(watchlist)
            with _in_memory(asked.picture) as path:
                image = read_image_isolated(path)
            made = watchlist.enrol(
                asked.name,
                image,
                detector=detector,
                embedder=embedder,
                category=asked.category,
                justification=asked.justification,
                expires_at=asked.expires_at,
                image_sha256=digest,
                origin=origin,
            )
            self._note("enrolled", asked.name, {"by": by, "watchlist_revision": made.revision})
            return _listed(made.entry, watchlist.references(made.entry.name))

    def review(self, number: int, *, by: str) -> ListedPersonView:
        """Record that ``by`` reviewed an entry for this deployment. Raises ``EnrolmentError`` for who proposed it."""
        self._require_plain("reviewed")
        with self._lock, self._open() as watchlist:
            name = _entry(watchlist, number).name
            watchlist.review(name, by=by, deployment=self._resources.deployment.name)
            self._note("reference-reviewed", name, {"by": by, "watchlist_revision": watchlist.revision})
            return _listed(_entry(watchlist, number), watchlist.references(name))

    def withdraw(self, number: int, *, by: str, because: str) -> None:
        """Take somebody off the list for good, also while an engine runs. Recorded with who did it and why."""
        audit = self._resources.audit
        if self._is_sealed:
            key, files = require_key(self._resources), self._resources.listed_files
            with self._open(to_read=True) as watchlist:
                name = _entry(watchlist, number).name
            withdraw(files, key, name, by=by, because=because, audit=audit)
            return
        with self._lock, self._open() as watchlist:
            name = _entry(watchlist, number).name
            watchlist.remove(name)
            details: dict[str, str | int] = {"by": by, "because": because, "watchlist_revision": watchlist.revision}
            self._note("removed-from-watchlist", name, details)

    @property
    def _is_sealed(self) -> bool:
        return is_sealed(self._resources.deployment.watchlist.file)

    def _require_plain(self, done: str) -> None:
        if self._is_sealed:
            raise WatchlistError(
                f"the watchlist is sealed, as it was signed for: nobody is {done} into it. Change the plain list, have "
                "it reviewed, seal it and sign another authorisation"
            )

    def _open(self, *, to_read: bool = False) -> Watchlist:
        key = self._resources.watchlist_key if to_read and self._is_sealed else None
        return open_watchlist(self._resources.deployment.watchlist.file, key=key)

    def _opened_networks(self, watchlist: Watchlist) -> tuple[FaceDetector, FaceEmbedder]:
        if self._networks is None:
            models = self._resources.deployment.models
            self._networks = open_detector(models.detector), open_embedder(watchlist.embedder)
        return self._networks

    def _note(self, kind: str, name: str, details: dict[str, str | int]) -> None:
        audit = self._resources.audit
        digest: dict[str, str | int] = {"entry_digest": audit.keyed_digest(name.encode())}
        audit.note(Event(kind=kind, details=digest | details))


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A file in memory alone, for a reader that is confined and takes paths."""
    with os.fdopen(os.memfd_create("pylfr-enrolment", os.MFD_CLOEXEC), "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


def _entry(watchlist: Watchlist, number: int) -> Entry:
    for entry in watchlist.entries():
        if entry.id == number:
            return entry
    raise KeyError(number)


def _listed(entry: Entry, references: tuple[ReviewedReference, ...]) -> ListedPersonView:
    return ListedPersonView(
        id=entry.id,
        name=entry.name,
        category=entry.category,
        justification=entry.justification,
        added_at=entry.added_at,
        expires_at=entry.expires_at,
        is_expired=entry.expires_at is not None and entry.expires_at <= datetime.now(UTC),
        references=[
            OriginView(
                source=each.origin.source,
                lawful_basis=each.origin.lawful_basis,
                captured_on=each.origin.captured_on,
                proposed_by=each.origin.proposed_by,
                reviewed_by=each.review.by if each.review is not None else None,
                reviewed_for=each.review.deployment if each.review is not None else None,
                reviewed_at=each.review.at if each.review is not None else None,
            )
            for each in references
        ],
    )
