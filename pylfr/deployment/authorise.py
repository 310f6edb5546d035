"""May this deployment run? What was found on this machine is held against its authorisation and its policy."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pylfr._internal.canonical_json import digest, utc_text
from pylfr.deployment.recognition import fusion_rules_of, preprocessing_of, threshold_in_words, threshold_of
from pylfr.deployment.resources import Resources
from pylfr.deployment.sections.cameras import CameraSection
from pylfr.deployment.signed_settings import camera_digests, signed_settings
from pylfr.errors import AuthorisationError
from pylfr.gallery.watchlist.digests import WatchlistContents
from pylfr.governance.authorisation.authority import Authorisation, RecordingPermit, plain_fields
from pylfr.governance.authorisation.certificates import describe
from pylfr.governance.authorisation.checks import DeploymentFacts, require_fit, window_fault
from pylfr.governance.authorisation.enrolment import enrollers_of
from pylfr.governance.authorisation.profiles import Profile
from pylfr.runtimes.registry import arithmetic_of
from pylfr.types import Event

# Sinks that hand alerts to others, whose copies pylfr cannot erase: the record and the report name them.
HANDED_OVER = frozenset({"webhook", "mqtt"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a deployment runs under: its authority, its jurisdiction's profile, and whom it may look for.

    ``authorised`` are the digests of the references that were signed for; None for an unsigned permit, which names
    nobody.
    """

    authority: RecordingPermit | Authorisation
    profile: Profile
    authorised: frozenset[str] | None
    calibrated: bool
    contents: WatchlistContents | None

    def words(self) -> str:
        """What was authorised, as JSON."""
        return json.dumps(plain_fields(self.authority), ensure_ascii=False)


def require_authorised(resources: Resources) -> Terms:
    """The terms of a deployment, all of them met at ``resources.now``.

    Raises ``AuthorisationError`` naming every field that does not fit, and, under an unsigned permit, a camera that is
    no recording.
    """
    if resources.deployment.authority is None:
        return _permitted(resources)
    profile = resources.profile
    facts = deployment_facts(resources)
    require_fit(
        resources.signed,
        facts,
        profile,
        officer=resources.officer,
        second_officer=resources.second_officer,
        record=resources.record_key.public if resources.record_key is not None else None,
        now=resources.now,
    )
    # The window is known to be within what the profile allows: no time that is computed from its end is out of range.
    _require_sealing(resources, profile, resources.signed.authorisation)
    contents = resources.watchlist.contents
    return Terms(
        authority=resources.signed.authorisation,
        profile=profile,
        authorised=contents.references,
        calibrated=facts.calibration is not None,
        contents=contents,
    )


def deployed(resources: Resources, terms: Terms, *, memory: str) -> Event:
    """What the record says before a run: which list, where its key is stored, to whom alerts are handed over.

    ``memory`` says who can read the memory of the process.
    """
    contents, deployment = terms.contents, resources.deployment
    evidence = [sink.key for sink in deployment.sinks if sink.type == "evidence"]
    people = set() if contents is None else enrollers_of(contents.origins)
    key = resources.watchlist_key_file
    return Event(
        kind="deployed",
        details={
            "authorisation": terms.authority.reference,
            "terms": digest(plain_fields(terms.authority)),
            "watchlist": contents.digest if contents is not None else None,
            "references": len(contents) if contents is not None else None,
            "withdrawn": len(contents.withdrawn) if contents is not None else None,
            "reviewed": sum(each.review is not None for each in contents.origins) if contents is not None else None,
            "enrollers": len(people),
            "watchlist_key": key.place if key is not None else "not sealed",
            "evidence": "sealed" if evidence and None not in evidence else "in the open" if evidence else "not kept",
            "memory": memory,
            "checkpoints_apart": resources.audit.are_checkpoints_apart or resources.exporter is not None,
            **_signers(resources),
            "calibration": describe(resources.calibration[0]) if resources.calibration is not None else None,
            "cohorts": describe(resources.cohorts[0]) if resources.cohorts is not None else None,
            "handed_over": ", ".join(sorted({sink.type for sink in deployment.sinks} & HANDED_OVER)),
        },
    )


def _signers(resources: Resources) -> dict[str, str | None]:
    """Whose keys the authorisation was signed with, and by what these keys count."""
    if resources.deployment.authority is None:
        return {"officer_key": None, "second_officer_key": None, "trusted_officers": None}
    second, trust = resources.second_officer, resources.trust
    return {
        "officer_key": resources.officer.fingerprint,
        "second_officer_key": second.fingerprint if second is not None else None,
        "trusted_officers": None if trust is None else f"{trust.path} (sha256 {trust.sha256[:16]})",
        "trust_in_reach": None if trust is None else "; ".join(trust.reach),
    }


def officers_of(resources: Resources) -> list[str]:
    """Whose keys the authorisation was signed with, and whether anybody outside the deployment says that they count."""
    if resources.deployment.authority is None:
        return ["nobody has signed: recordings alone, under an unsigned permit"]
    said = [f"officer's key: {resources.officer.fingerprint}"]
    if resources.second_officer is not None:
        said.append(f"second officer's key: {resources.second_officer.fingerprint}")
    if resources.trust is None:
        return [*said, "nobody outside the deployment says that these keys count: [authority] trusted_officers"]
    said.append(f"these keys count by {resources.trust.path} (sha256 {resources.trust.sha256[:16]})")
    return said + [f"which whoever runs this could have written: {reach}" for reach in resources.trust.reach]


def measurements_of(resources: Resources) -> list[str]:
    """What was measured before, on what, when and by whom: what an officer relies on without having seen it."""
    named = (("calibration", resources.calibration), ("cohorts", resources.cohorts))
    return [f"{name}: {describe(measured[0])}" for name, measured in named if measured is not None]


def deployment_threshold(resources: Resources) -> float:
    """The threshold of a deployment. Where its file gives none, its watchlist decides which suggestion of the embedder.

    References that were withdrawn count, so that it is the one that was signed. Raises as ``threshold_of``.
    """
    recognition, manifest = resources.deployment.recognition, resources.embedder.manifest
    references = 0 if recognition.threshold is not None else resources.watchlist.contents.signed_size
    return threshold_of(recognition, manifest, references=references)


def threshold_notice(resources: Resources) -> str | None:
    """What must be known of a threshold that no certificate backs, before a run; None where there is nothing to say."""
    if resources.deployment.authority is not None and resources.calibration is not None:
        return None
    return threshold_in_words(
        resources.deployment.recognition,
        resources.embedder.manifest,
        references=resources.watchlist.contents.signed_size,
    )


def draft_authorisation(resources: Resources) -> dict[str, object]:
    """The fields of an authorisation for this deployment: what can be measured is filled in, the rest is blank."""
    facts = deployment_facts(resources)
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
        "settings": dict(facts.settings),
        "signage_confirmed": False,
        "urgent": False,
        "confirms": None,
    }


def deployment_facts(resources: Resources) -> DeploymentFacts:
    """What an authorisation of this deployment has to name. Raises ``ConfigError`` where it has no [authority]."""
    deployment, section = resources.deployment, resources.authority
    contents = resources.watchlist.contents
    embedder = resources.embedder
    return DeploymentFacts(
        deployment=deployment.name,
        profile=section.profile,
        place=section.place,
        cameras=camera_digests(deployment),
        people={name: key.text for name, key in resources.people.items()},
        watchlist=contents.digest,
        watchlist_size=contents.signed_size,
        categories=contents.categories,
        unjustified=contents.unjustified,
        references=contents.origins,
        sealed=resources.watchlist.sealed,
        detector=resources.detector.sha256,
        embedder=embedder.sha256,
        preprocessing=preprocessing_of(embedder.manifest),
        arithmetic=arithmetic_of(deployment.models.runtime),
        threshold=deployment_threshold(resources),
        rules=fusion_rules_of(deployment.recognition, side_px=deployment.models.side_px),
        calibration=resources.calibration,
        cohorts=resources.cohorts,
        settings=signed_settings(
            deployment, record_key=resources.record_key, watchlist_key=resources.watchlist_key_file
        ),
        trust=resources.trust,
    )


def _require_sealing(resources: Resources, profile: Profile, authorisation: Authorisation) -> None:
    """The watchlist's key is destroyed with the deployment, and pictures are sealed where the profile asks for it."""
    key = resources.watchlist_key
    latest = authorisation.ends_at + timedelta(hours=profile.watchlist_retention_h)
    if key is not None and key.expires_at > latest:
        raise AuthorisationError(
            f"watchlist.key: it lives until {utc_text(key.expires_at)}, {profile.name} allows {utc_text(latest)}"
        )
    if profile.requires_sealed_watchlist:
        for sink in resources.deployment.sinks:
            if sink.type == "evidence" and sink.key is None:
                raise AuthorisationError(f"sinks: {profile.name} needs evidence that is sealed: give the sink a key")


def _permitted(resources: Resources) -> Terms:
    """The terms of an unsigned permit, which is for recordings alone."""
    deployment = resources.deployment
    permit = deployment.authorisation
    if permit is None:
        raise AuthorisationError(f"{deployment.name!r} has neither [authority] nor [authorisation]")
    for camera in deployment.cameras:
        if not is_recording(camera):
            raise AuthorisationError(
                f"camera {camera.name!r} is live: that needs a signed authorisation, which [authority] names "
                "(`pylfr authority draft`); [authorisation] is for recordings"
            )
    if (fault := window_fault(permit, resources.profile)) is not None:
        raise AuthorisationError(f"authorisation.ends_at: {fault}")
    permit.require(frozenset(camera.name for camera in deployment.cameras), (resources.now, resources.now))
    return Terms(authority=permit, profile=resources.profile, authorised=None, calibrated=False, contents=None)


def is_recording(camera: CameraSection) -> bool:
    """Whether the camera can only be a file: a device or a pipe under another name counts as live."""
    if "://" in camera.source.removeprefix("file://"):
        return False
    path = Path(os.path.expandvars(camera.source.removeprefix("file://")))
    return path.is_file() or not path.exists()
