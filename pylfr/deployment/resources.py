"""What a deployment opens: keys, record, watchlist, certificates, networks; each once, and all closed in one place."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType

from pylfr._internal.secrets import resolve_secrets
from pylfr._internal.steady_clock import STEADY, steady_now, system_now
from pylfr.deployment.clock import ClockReading, ClockTrust, read_clocks
from pylfr.deployment.config import Deployment, read_deployment
from pylfr.deployment.instance_lock import lock_instance
from pylfr.deployment.sections.record import AuthoritySection
from pylfr.deployment.sections.sinks import EvidenceSection
from pylfr.errors import ConfigError
from pylfr.gallery.index.build import builder_of
from pylfr.gallery.index.reloading import LiveGallery
from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.digests import WatchlistContents, contents_of
from pylfr.gallery.watchlist.sealed import connect_either, is_in_memory
from pylfr.gallery.watchlist.snapshot import WatchlistSnapshot, read_snapshot, require_snapshot_of
from pylfr.gallery.watchlist.withdrawal import ListedFiles
from pylfr.gallery.watchlist.withdrawn import WithdrawnEntries
from pylfr.governance.adjudication.database import Records, open_records
from pylfr.governance.adjudication.erasure_keys import ErasureKeys
from pylfr.governance.adjudication.review import Review
from pylfr.governance.audit.audit import AuditLog, open_audit
from pylfr.governance.audit.exporter import CheckpointExporter, ReceiverClient
from pylfr.governance.authorisation.certificates import (
    CalibrationCertificate,
    CohortCertificate,
    read_calibration,
    read_cohorts,
)
from pylfr.governance.authorisation.profiles import Profile, read_profile
from pylfr.governance.authorisation.signed import SignedAuthorisation, read_signed
from pylfr.governance.authorisation.trust import TrustRoot, read_trust_root
from pylfr.governance.keys.keys import PublicKey, SigningKey, read_public_key, read_signing_key
from pylfr.governance.keys.person_key import PersonKey, read_person_key
from pylfr.governance.keys.vault import VaultKey, VaultKeyFile, open_or_make_vault_key, read_key_file
from pylfr.models.store import Model, open_store
from pylfr.runtimes.registry import RuntimeChoice, choose_runtime
from pylfr.sinks.delivery import DeliverySink
from pylfr.types import Event

# The environment variable with the passphrase of vault keys, where they have one.
PASSPHRASE = "PYLFR_VAULT_PASSPHRASE"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedWatchlist:
    """One revision of the watchlist: whom it holds, the references to search, and whether the file is sealed."""

    contents: WatchlistContents
    snapshot: WatchlistSnapshot
    sealed: bool


class Resources:
    """Everything that a deployment names, each opened on first use, once, and closed together.

    Use it as a context manager, or hand ``close`` on to whoever closes last. ``now`` is the time at which keys and
    watchlist entries must still be valid. An ``audit`` log that is given stays open; it belongs to whoever gave it.
    Every property raises the error of its part: ``AuthorisationError``, ``VaultError``, ``AuditError``,
    ``AdjudicationError``, ``WatchlistError``, ``ModelError``, ``ConfigError``.
    """

    def __init__(
        self,
        deployment: Deployment,
        *,
        now: datetime,
        audit: AuditLog | None = None,
        clocks: ClockReading | None = None,
    ) -> None:
        """``clocks`` are checked against the last ones before the audit log is opened; None checks nothing."""
        self.deployment = deployment
        self.now = now
        self._clock_trust = ClockTrust(deployment.audit.path, clocks)
        self._opened = ExitStack()
        self._evidence_keys: dict[Path, VaultKey] = {}
        self.run: str | None = None
        # What sends checkpoints to another machine, once the log is open and where one is named.
        self.exporter: CheckpointExporter | None = None
        # What carries alerts on, once the sinks are open.
        self.deliveries: list[DeliverySink] = []
        if audit is not None:
            self.audit = audit

    def __enter__(self) -> Resources:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all that was opened, the last first. May be called more than once."""
        self._opened.close()

    def closes(self, close: Callable[[], None]) -> None:
        """Call ``close`` too, before what was opened earlier is closed."""
        self._opened.callback(close)

    def begin_run(self) -> None:
        """Give a run its name, and take the deployment's lock for it. Raises ``ConfigError`` while another run has it.

        The audit log writes the name into every entry that follows: call it before ``audit``.
        """
        self.run = secrets.token_hex(4)
        self._opened.enter_context(STEADY.held())
        self._clock_trust = self._clock_trust.of_run(steady_now())
        lock = lock_instance(self.deployment.audit.path, name=self.deployment.name, run=self.run, now=self.now)
        self.closes(lock.release)

    @property
    def authority(self) -> AuthoritySection:
        """The section [authority]. Raises ``ConfigError`` where there is none."""
        if self.deployment.authority is None:
            raise ConfigError(
                f"{self.deployment.name!r} has no [authority]: name the profile, the place and the officer's key"
            )
        return self.deployment.authority

    @cached_property
    def profile(self) -> Profile:
        """The policy of the deployment; recordings under an unsigned permit are research."""
        section = self.deployment.authority
        return read_profile(section.profile if section is not None else "research")

    @cached_property
    def signed(self) -> SignedAuthorisation:
        return read_signed(self.authority.signed)

    @cached_property
    def officer(self) -> PublicKey:
        return read_public_key(self.authority.officer_key)

    @cached_property
    def second_officer(self) -> PublicKey | None:
        path = self.authority.second_officer_key
        return read_public_key(path) if path is not None else None

    @cached_property
    def trust(self) -> TrustRoot | None:
        """Whose keys count, by a root outside the deployment; None where none is named."""
        path = self.authority.trusted_officers
        return read_trust_root(path) if path is not None else None

    @cached_property
    def people(self) -> dict[str, PersonKey]:
        """Who may decide on alerts, by name."""
        return {name: read_person_key(path) for name, path in self.deployment.people.items()}

    @cached_property
    def calibration(self) -> tuple[CalibrationCertificate, str] | None:
        """The calibration certificate and its sha256; None where none is named."""
        section = self.deployment.authority
        return read_calibration(section.calibration) if section is not None and section.calibration else None

    @cached_property
    def cohorts(self) -> tuple[CohortCertificate, str] | None:
        """The cohort certificate and its sha256; None where none is named."""
        section = self.deployment.authority
        return read_cohorts(section.cohorts) if section is not None and section.cohorts else None

    @cached_property
    def record_key(self) -> SigningKey | None:
        """The key that signs the record, opened with its passphrase where it has one; None where none is named."""
        section = self.deployment.audit
        if section.key is None:
            return None
        if section.passphrase is None:
            return read_signing_key(section.key)
        return read_signing_key(
            section.key, passphrase=resolve_secrets(section.passphrase, name="the passphrase of the record's key")
        )

    @cached_property
    def audit(self) -> AuditLog:
        """The audit log, with the key that signs its checkpoints.

        Raises ``AuditError`` also where the clock was set forward and nothing confirms it: an entry would be dated
        wrongly, and what is erased by a wrong clock is gone for good.
        """
        section = self.deployment.audit
        self._clock_trust.remember()
        log = open_audit(
            section.path,
            key=self.record_key,
            checkpoints=section.checkpoints,
            run=self.run,
            # A run goes by a clock that nobody sets: one that jumps dates none of its entries.
            clock=steady_now if self.run is not None else system_now,
        )
        audit = self._opened.enter_context(closing(log))
        self.exporter = self._start_exporter(audit)
        return audit

    def confirm_clock(self, *, by: str) -> None:
        """Believe the clock as it is now, on the word of a person, whose name the record gets."""
        doubt = self._clock_trust.confirm()
        self.audit.note(Event(kind="clock-confirmed", details={"by": by, "doubt": doubt}))

    def _start_exporter(self, audit: AuditLog) -> CheckpointExporter | None:
        """What sends checkpoints to another machine; None where none is named. Raises ``AuditError`` as it does."""
        section, key = self.deployment.audit, self.record_key
        if section.checkpoint_receiver is None or section.checkpoints is None or key is None:
            return None
        client = ReceiverClient(url=section.checkpoint_receiver, key=key.public, ca=section.receiver_ca)
        exporter = CheckpointExporter(audit, section.checkpoints, client)
        exporter.start()
        self.closes(exporter.close)
        return exporter

    @cached_property
    def records(self) -> Records | None:
        """The records of alerts and decisions; None where the deployment keeps none."""
        url = self.records_url
        if url is None:
            return None
        return self._opened.enter_context(closing(open_records(url, keys=self.erasure_keys)))

    @cached_property
    def erasure_keys(self) -> ErasureKeys | None:
        """What encrypts names in the records, until they must be erased; None where the deployment names no keys."""
        section = self.deployment.records
        if section is None or section.keys is None:
            return None
        # As the records themselves: a run goes by a clock that nobody sets.
        clock = steady_now if self.run is not None else system_now
        return ErasureKeys(section.keys, passphrase=vault_passphrase(), clock=clock)

    @property
    def records_url(self) -> str | None:
        """Where the records are, with whatever opens them; None where the deployment keeps none."""
        section = self.deployment.records
        if section is None:
            return None
        if section.url is not None:
            return resolve_secrets(section.url, name="the records' url", percent_encoded=True)
        return f"sqlite:///{section.file}"

    def require_records(self) -> Records:
        """The records. Raises ``ConfigError`` where the deployment keeps none."""
        if self.records is None:
            raise ConfigError(
                f"{self.deployment.name!r} has no [records]: give it a file in which alerts wait for people"
            )
        return self.records

    @cached_property
    def watchlist_key_file(self) -> VaultKeyFile | None:
        """When the watchlist's key expires and where it is stored; None where no key is named."""
        path = self.deployment.watchlist.key
        return read_key_file(path) if path is not None else None

    @cached_property
    def review(self) -> Review:
        """The alerts and what people decide on them. Raises ``ConfigError`` where the deployment has no records."""
        return Review(self.require_records(), self.audit)

    @cached_property
    def watchlist_key(self) -> VaultKey | None:
        """The key of a sealed watchlist; None where none is named."""
        self._clock_trust.require()
        file = self.watchlist_key_file
        return file.open(now=self.now, passphrase=vault_passphrase()) if file is not None else None

    @cached_property
    def withdrawn(self) -> WithdrawnEntries:
        """Who was taken off the watchlist, as the log has it."""
        return WithdrawnEntries(self.audit)

    @cached_property
    def watchlist(self) -> OpenedWatchlist:
        """The watchlist as it was when it was first asked for. Raises as ``read_watchlist``."""
        return self.read_watchlist()

    def read_watchlist(self) -> OpenedWatchlist:
        """The watchlist now. Raises ``WatchlistError`` where it holds anybody whom the log has as withdrawn."""
        path = self.deployment.watchlist.file
        with (
            closing(connect_either(path, self.watchlist_key)) as connection,
            sqlite_file.understood(path),
            sqlite_file.reading(connection),
        ):
            self.withdrawn.require_none(connection, path)
            return OpenedWatchlist(
                contents=contents_of(connection),
                snapshot=read_snapshot(connection, path, now=self.now),
                sealed=is_in_memory(connection),
            )

    @property
    def listed_files(self) -> ListedFiles:
        """The sealed watchlist, and the manifest that answers for it, which the record's key signs."""
        section = self.deployment.watchlist
        signing = self.record_key if section.manifest is not None else None
        return ListedFiles(sealed=section.file, manifest=section.manifest, signing=signing)

    @cached_property
    def detector(self) -> Model:
        return open_store().resolve(self.deployment.models.detector)

    @cached_property
    def embedder(self) -> Model:
        return open_store().resolve(self.deployment.models.embedder)

    @cached_property
    def runtime(self) -> RuntimeChoice:
        """What runs the networks, and why; one that is left open is of the certificate's arithmetic."""
        models = self.deployment.models
        arithmetic = self.calibration[0].arithmetic if self.calibration is not None else None
        return choose_runtime(models.runtime, device=models.device, arithmetic=arithmetic)

    def open_gallery(self, *, model: str, authorised: frozenset[str] | None) -> LiveGallery:
        """The gallery that follows the watchlist, as ``pylfr.gallery.index.reloading.open_gallery`` would give it."""
        section = self.deployment.watchlist
        require_snapshot_of(self.watchlist.snapshot, section.file, model)
        gallery = LiveGallery(
            section.file,
            self.watchlist.snapshot,
            build=builder_of(section.index, section.device_mib),
            poll_ms=section.poll_ms,
            grace_s=section.grace_s,
            authorised=authorised,
            key=self.watchlist_key,
            withdrawn=self.withdrawn,
        )
        self.closes(gallery.close)
        return gallery

    def evidence_key(self, sink: EvidenceSection, *, expires_at: datetime) -> VaultKey | None:
        """The key that seals evidence, made where there is none yet; None where pictures are not sealed."""
        self._clock_trust.require()
        if sink.key is None:
            return None
        if sink.key not in self._evidence_keys:
            self._evidence_keys[sink.key] = open_or_make_vault_key(
                sink.key, now=self.now, expires_at=expires_at, passphrase=vault_passphrase()
            )
        return self._evidence_keys[sink.key]


def open_resources(deployment: Deployment | Path, *, audit: AuditLog | None = None) -> Resources:
    """The resources of a deployment, or of the file that describes it, as of now; nothing of them is opened yet.

    Raises ``ConfigError`` for a file that describes none.
    """
    if not isinstance(deployment, Deployment):
        deployment = read_deployment(deployment)
    clocks = read_clocks()
    return Resources(deployment, now=clocks.at, audit=audit, clocks=clocks)


def require_key(resources: Resources) -> VaultKey:
    """The watchlist's key. Raises ``ConfigError`` where the deployment names none."""
    if resources.watchlist_key is None:
        raise ConfigError(
            f"{resources.deployment.name!r} has no sealed watchlist: `pylfr watchlist remove` takes an entry off"
        )
    return resources.watchlist_key


def vault_passphrase() -> str | None:
    """The passphrase of vault keys, from the environment."""
    return os.environ.get(PASSPHRASE)
