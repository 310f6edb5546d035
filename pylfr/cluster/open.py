"""Opens the head of a deployment: authorised, its record whole, its watchlist sealed; as a single engine is opened."""

from __future__ import annotations

from pylfr.cluster.accounts import RunAccounts
from pylfr.cluster.decided import DECISIONS, decided_since
from pylfr.cluster.engine_logs import BINDING
from pylfr.cluster.head import ClusterHead
from pylfr.cluster.messages import Brief
from pylfr.cluster.record import ClusterRecord
from pylfr.cluster.shared_watchlist import SharedWatchlist
from pylfr.deployment.authorise import Terms, deployed, deployment_threshold, require_authorised
from pylfr.deployment.resources import Resources
from pylfr.deployment.sinks import false_alert_limit, open_sinks
from pylfr.deployment.sweep import forget_expired
from pylfr.deployment.whole_record import require_whole_record
from pylfr.engine.summary import run_began
from pylfr.errors import AuthorisationError, ConfigError
from pylfr.governance.authorisation.authority import Authorisation, RecordingPermit
from pylfr.governance.keys.keys import read_public_key
from pylfr.governance.keys.memory import memory_state
from pylfr.types import Event


def open_head(resources: Resources, *, may_begin: bool = True) -> ClusterHead:
    """The head of a deployment; what it opens is closed with ``resources``.

    A run that is under way by the log goes on. Where none is, one begins only if it ``may_begin``: whoever starts a
    head again that died does not decide to look for people. Raises ``AuthorisationError`` for that too, and naming
    whatever was not authorised, ``ConfigError`` for a deployment that no cluster can run, and the error of whichever
    part cannot be had.
    """
    deployment = resources.deployment
    section = deployment.cluster
    if not section.nodes:
        raise ConfigError(f"{deployment.name!r} names no [cluster.nodes]: no machine could be given the watchlist")
    if resources.record_key is None:
        raise ConfigError("[audit] needs key and checkpoints: by the record's key nodes know their head")
    resources.begin_run()
    require_whole_record(resources)
    forget_expired(resources)
    terms = require_authorised(resources)
    watchlist = SharedWatchlist(resources, authorised=terms.authorised)
    brief = _brief(resources, terms, watchlist)
    watchlist.now()
    audit = resources.audit
    names = frozenset(camera.name for camera in deployment.cameras)
    began = run_began(
        terms.authority.reference, names, deployment_threshold(resources), decoding="on the nodes of a cluster"
    )
    accounts = RunAccounts(began)
    accounts.load(audit.entries("run-began", "run-ended", *BINDING))
    if accounts.began_at is None and not may_begin:
        raise AuthorisationError(
            f"no run of {deployment.name!r} is under way by these terms, and its head was started again: the run has "
            "ended, or the deployment was changed; `pylfr cluster run` begins another run"
        )
    decided = decided_since(accounts.began_at, audit.entries(*DECISIONS))
    audit.note(deployed(resources, terms, memory=memory_state()))
    record = ClusterRecord(audit, open_sinks(resources, terms), cooldown_s=deployment.recognition.cooldown_s)
    record.load(since=accounts.began_at)
    audit.note(began if accounts.began_at is None else _resumed(terms))
    return ClusterHead(
        brief=brief,
        key=resources.record_key,
        nodes={name: read_public_key(path) for name, path in section.nodes.items()},
        folder=section.folder or deployment.audit.path.with_name("engines"),
        lease_s=section.lease_s,
        ends_at=terms.authority.ends_at,
        ceiling=false_alert_limit(resources, terms, since=accounts.began_at),
        watchlist=watchlist,
        audit=audit,
        record=record,
        accounts=accounts,
        decided=decided,
    )


def _resumed(terms: Terms) -> Event:
    """The head died in a run and was started again: the run goes on, and ends once."""
    return Event(kind="run-resumed", details={"authorisation": terms.authority.reference})


def _brief(resources: Resources, terms: Terms, watchlist: SharedWatchlist) -> Brief:
    deployment, authority, key = resources.deployment, terms.authority, watchlist.key
    return Brief(
        deployment=deployment.name,
        # What runs the networks is chosen once: every node has the certificate's arithmetic.
        models=deployment.models.model_copy(update={"runtime": resources.runtime.name}),
        recognition=deployment.recognition,
        threshold=deployment_threshold(resources),
        batch=deployment.batch,
        decode=deployment.decode,
        cameras=deployment.cameras,
        permit=authority if isinstance(authority, RecordingPermit) else None,
        authorisation=authority if isinstance(authority, Authorisation) else None,
        calibrated=terms.calibrated,
        index=deployment.watchlist.index,
        device_mib=deployment.watchlist.device_mib,
        tracing=deployment.tracing,
        references=None if terms.authorised is None else tuple(sorted(terms.authorised)),
        watchlist_key_expires_at=key.expires_at,
        watchlist_key_binds_deadline=key.binds_deadline,
    )
