"""What a deployment is, found on this machine, and whether it may run: the terms that its authorisation must meet."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pylfr._internal.canonical_json import digest, utc_text
from pylfr._internal.secrets import resolve_secrets
from pylfr.deployment.config import AuthoritySection, CameraSection, Deployment, EvidenceSink, RecognitionSection
from pylfr.errors import AuthorisationError, ConfigError
from pylfr.gallery.watchlist.digests import WatchlistContents, read_contents
from pylfr.gallery.watchlist.sealed import is_sealed
from pylfr.gallery.watchlist.withdrawal import ListedFiles
from pylfr.governance.adjudication.database import Records, open_records
from pylfr.governance.audit.audit import AuditLog, open_audit
from pylfr.governance.authorisation.authority import Authorisation, RecordingPermit, plain_fields
from pylfr.governance.authorisation.certificates import FusionRules, read_calibration, read_cohorts
from pylfr.governance.authorisation.checks import DeploymentFacts, require_fit
from pylfr.governance.authorisation.enrolment import enrollers_of
from pylfr.governance.authorisation.profiles import Profile, read_profile
from pylfr.governance.authorisation.signed import read_signed
from pylfr.governance.keys.keys import SigningKey, read_public_key, read_signing_key
from pylfr.governance.keys.vault import VaultKey, make_vault_key, place_of, read_vault_key
from pylfr.models.manifest import ModelManifest
from pylfr.models.store import open_store
from pylfr.runtimes.registry import RuntimeChoice, arithmetic_of, choose_runtime
from pylfr.types import Event

# The environment variable with the passphrase of vault keys, where they have one.
PASSPHRASE = "PYLFR_VAULT_PASSPHRASE"

# Sinks that hand alerts to others, whose keeping pylfr cannot sweep: said in the record and in the report.
HANDED_OVER = frozenset({"webhook", "mqtt"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under what a deployment runs: its authority, its jurisdiction's profile, and whom it may look for.

    ``authorised`` are the digests of the references that were signed for; None for plain words, which name nobody.
    """

    authority: RecordingPermit | Authorisation
    profile: Profile
    authorised: frozenset[str] | None
    calibrated: bool
    contents: WatchlistContents | None

    def words(self) -> str:
        """What was authorised, as JSON."""
        return json.dumps(plain_fields(self.authority), ensure_ascii=False)


def open_terms(deployment: Deployment, *, now: datetime) -> Terms:
    """The terms of a deployment, all of them met at ``now``.

    Raises ``AuthorisationError`` naming every field that does not fit, and, for plain words, a camera that is no
    recording.
    """
    section = deployment.authority
    if section is None:
        return _plain_terms(deployment, now)
    profile = read_profile(section.profile)
    key = watchlist_key_of(deployment, now=now)
    contents = read_contents(deployment.watchlist.file, key)
    facts = _facts(deployment, section, contents)
    signed = read_signed(section.signed)
    _require_sealing(deployment, profile, signed.authorisation, key)
    second = section.second_officer_key
    record = record_key_of(deployment)
    require_fit(
        signed,
        facts,
        profile,
        officer=read_public_key(section.officer_key),
        second_officer=read_public_key(second) if second is not None else None,
        record=record.public if record is not None else None,
        now=now,
    )
    return Terms(
        authority=signed.authorisation,
        profile=profile,
        authorised=contents.references,
        calibrated=facts.calibration is not None,
        contents=contents,
    )


def deployed(deployment: Deployment, terms: Terms, *, memory: str) -> Event:
    """What the record says before a run: which list, where its key is kept, to whom alerts are handed over.

    ``memory`` says who can read the memory of the process.
    """
    contents = terms.contents
    evidence = [sink.key for sink in deployment.sinks if sink.type == "evidence"]
    people = set() if contents is None else enrollers_of(contents.origins)
    key = deployment.watchlist.key
    return Event(
        kind="deployed",
        details={
            "authorisation": terms.authority.reference,
            "watchlist": contents.digest if contents is not None else None,
            "references": len(contents) if contents is not None else None,
            "withdrawn": len(contents.withdrawn) if contents is not None else None,
            "reviewed": sum(each.review is not None for each in contents.origins) if contents is not None else None,
            "enrollers": len(people),
            "watchlist_key": place_of(key) if key is not None else "not sealed",
            "evidence": "sealed" if evidence and None not in evidence else "in the open" if evidence else "not kept",
            "memory": memory,
            "handed_over": ", ".join(sorted({sink.type for sink in deployment.sinks} & HANDED_OVER)),
        },
    )


def deployment_facts(deployment: Deployment) -> DeploymentFacts:
    """What an authorisation of this deployment has to name. Raises ``ConfigError`` where it has no [authority]."""
    if deployment.authority is None:
        raise ConfigError(f"{deployment.name!r} has no [authority]: name the profile, the place and the officer's key")
    key = watchlist_key_of(deployment, now=datetime.now(UTC))
    return _facts(deployment, deployment.authority, read_contents(deployment.watchlist.file, key))


def draft_authorisation(deployment: Deployment) -> dict[str, object]:
    """The fields of an authorisation for this deployment: what can be measured is filled in, the rest is blank."""
    facts = deployment_facts(deployment)
    blank: dict[str, object] = dict.fromkeys(Authorisation.model_fields, "")
    return blank | {
        "deployment": facts.deployment,
        "profile": facts.profile,
        "place": facts.place,
        "cameras": dict(facts.cameras),
        "people": dict(facts.people),
        "watchlist": facts.watchlist,
        "watchlist_size": facts.watchlist_size,
        "detector": facts.detector,
        "embedder": facts.embedder,
        "threshold": facts.threshold,
        "calibration": facts.calibration[1] if facts.calibration is not None else None,
        "cohorts": facts.cohorts[1] if facts.cohorts is not None else None,
        "signage_confirmed": False,
        "urgent": False,
        "confirms": None,
    }


def records_of(deployment: Deployment) -> Records | None:
    """The open records of a deployment; None where it has none. Raises ``AdjudicationError`` where they are away."""
    section = deployment.records
    if section is None:
        return None
    if section.url is not None:
        return open_records(resolve_secrets(section.url, name="the records' url", percent_encoded=True))
    return open_records(f"sqlite:///{section.file}")


def watchlist_key_of(deployment: Deployment, *, now: datetime) -> VaultKey | None:
    """The key of a sealed watchlist; None for a plain one. Raises ``VaultError`` where it is gone or over."""
    path = deployment.watchlist.key
    return read_watchlist_key(path, now=now) if path is not None else None


def read_watchlist_key(path: Path, *, now: datetime) -> VaultKey:
    """The key at ``path``, with the passphrase of the environment. Raises ``VaultError`` where it is gone or over."""
    return read_vault_key(path, now=now, passphrase=os.environ.get(PASSPHRASE))


def listed_files_of(deployment: Deployment) -> ListedFiles:
    """The sealed watchlist of a deployment, and the manifest that answers for it, which the record's key signs."""
    section = deployment.watchlist
    signing = record_key_of(deployment) if section.manifest is not None else None
    return ListedFiles(sealed=section.file, manifest=section.manifest, signing=signing)


def evidence_key_of(section: EvidenceSink, *, expires_at: datetime, now: datetime) -> VaultKey | None:
    """The key that seals evidence, made where there is none yet; None where it is kept in the open."""
    if section.key is None:
        return None
    if not section.key.exists():
        return make_vault_key(section.key, expires_at=expires_at, passphrase=os.environ.get(PASSPHRASE))
    return read_vault_key(section.key, now=now, passphrase=os.environ.get(PASSPHRASE))


def record_key_of(deployment: Deployment) -> SigningKey | None:
    """The key that signs the record of a deployment, opened with its passphrase where it has one; None without one."""
    section = deployment.audit
    if section.key is None:
        return None
    if section.passphrase is None:
        return read_signing_key(section.key)
    return read_signing_key(
        section.key, passphrase=resolve_secrets(section.passphrase, name="the passphrase of the record's key")
    )


def audit_of(deployment: Deployment) -> AuditLog:
    """The open audit log of a deployment, with the key that signs its checkpoints."""
    return open_audit(deployment.audit.path, key=record_key_of(deployment), checkpoints=deployment.audit.checkpoints)


def threshold_of(recognition: RecognitionSection, manifest: ModelManifest) -> float:
    """The threshold (cosine) that is asked for, or else the embedder's suggestion.

    Raises ``ConfigError`` where there is neither.
    """
    suggested = manifest.embed.suggested_threshold if manifest.embed is not None else None
    threshold = recognition.threshold if recognition.threshold is not None else suggested
    if threshold is None:
        raise ConfigError(f"{manifest.name} suggests no threshold: give one (a cosine from -1 to 1)")
    return threshold


def runtime_of(deployment: Deployment) -> RuntimeChoice:
    """What runs the networks of a deployment; left to choose, it keeps to the arithmetic of the certificate.

    Raises what ``choose_runtime`` raises, and ``AuthorisationError`` for a certificate that cannot be read.
    """
    section = deployment.authority
    certified = None
    if section is not None and section.calibration is not None:
        certified = read_calibration(section.calibration)[0].arithmetic
    models = deployment.models
    return choose_runtime(models.runtime, device=models.device, arithmetic=certified)


def fusion_rules_of(recognition: RecognitionSection, *, side_px: int | None = None) -> FusionRules:
    """How a deployment makes one score of a track's faces; ``side_px`` as in [models]."""
    fields = recognition.model_dump(include=set(FusionRules.model_fields))
    return FusionRules.model_validate({**fields, "side_px": side_px})


def preprocessing_of(manifest: ModelManifest) -> str:
    """sha256 of how a network is fed: its pixels, its crop and where the landmarks belong in it."""
    return digest(manifest.model_dump(mode="json", include={"head", "pixels", "embed"}))


def _require_sealing(
    deployment: Deployment, profile: Profile, authorisation: Authorisation, key: VaultKey | None
) -> None:
    """The watchlist's key dies with the deployment, and pictures are sealed where the profile asks for it."""
    latest = authorisation.ends_at + timedelta(hours=profile.watchlist_retention_h)
    if key is not None and key.expires_at > latest:
        raise AuthorisationError(
            f"watchlist.key: it lives until {utc_text(key.expires_at)}, {profile.name} allows {utc_text(latest)}"
        )
    if profile.requires_sealed_watchlist:
        for sink in deployment.sinks:
            if sink.type == "evidence" and sink.key is None:
                raise AuthorisationError(f"sinks: {profile.name} needs evidence that is sealed: give the sink a key")


def _plain_terms(deployment: Deployment, now: datetime) -> Terms:
    leave = deployment.authorisation
    if leave is None:
        raise AuthorisationError(f"{deployment.name!r} has neither [authority] nor [authorisation]")
    for camera in deployment.cameras:
        if not _is_recording(camera):
            raise AuthorisationError(
                f"camera {camera.name!r} is live: that needs a signed authorisation, which [authority] names "
                "(`pylfr authority draft`); plain words are for recordings"
            )
    leave.require(frozenset(camera.name for camera in deployment.cameras), (now, now))
    return Terms(authority=leave, profile=read_profile("research"), authorised=None, calibrated=False, contents=None)


def _is_recording(camera: CameraSection) -> bool:
    """Whether the camera can only be a file: a device or a pipe under another name counts as live."""
    if "://" in camera.source.removeprefix("file://"):
        return False
    path = Path(os.path.expandvars(camera.source.removeprefix("file://")))
    return path.is_file() or not path.exists()


def _facts(deployment: Deployment, section: AuthoritySection, contents: WatchlistContents) -> DeploymentFacts:
    store = open_store()
    detector, embedder = store.resolve(deployment.models.detector), store.resolve(deployment.models.embedder)
    return DeploymentFacts(
        deployment=deployment.name,
        profile=section.profile,
        place=section.place,
        cameras={camera.name: camera.digest for camera in deployment.cameras},
        people={name: read_public_key(path).text for name, path in deployment.people.items()},
        watchlist=contents.digest,
        watchlist_size=contents.signed_size,
        categories=contents.categories,
        unjustified=contents.unjustified,
        references=contents.origins,
        sealed=deployment.watchlist.key is not None and is_sealed(deployment.watchlist.file),
        detector=detector.sha256,
        embedder=embedder.sha256,
        preprocessing=preprocessing_of(embedder.manifest),
        arithmetic=arithmetic_of(deployment.models.runtime),
        threshold=threshold_of(deployment.recognition, embedder.manifest),
        rules=fusion_rules_of(deployment.recognition, side_px=deployment.models.side_px),
        calibration=read_calibration(section.calibration) if section.calibration is not None else None,
        cohorts=read_cohorts(section.cohorts) if section.cohorts is not None else None,
    )
