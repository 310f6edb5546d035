"""A service on loopback over a record that tests write to: real keys, a signed log, sealed pictures, no networks."""

from __future__ import annotations

import base64
import json
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import uvicorn

from pylfr._internal.canonical_json import utc_text
from pylfr.deployment.resources import Resources, open_resources
from pylfr.governance.adjudication.database import Records, open_records
from pylfr.governance.adjudication.signatures import sign_decision
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.authorisation.authority import Authorisation
from pylfr.governance.keys.keys import SigningKey, make_key, read_signing_key
from pylfr.service.app import build_app
from pylfr.service.control import RunControl
from pylfr.service.server import server_config
from pylfr.sinks.evidence import open_sealed_evidence
from pylfr.types import UInt8
from tests.deployment_text import RECORDS, SEALED_EVIDENCE, SHIPPED, SIGNED_LOG, deployment_text, permit_text
from tests.governance.reviews import DAY, deploy, enter, signed_log
from tests.governance.samples import authorisation
from tests.samples import sample_alert

ROLES = {
    "Ann": ["operator"],
    "Bob": ["operator", "second operator"],
    "Cem": ["engagement officer"],
    "Dee": ["supervisor"],
    "Eve": ["auditor"],
}
PATIENCE_S = 20.0
NOBODY: Mapping[str, str] = {}


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True, kw_only=True)
class Stand:
    """The folder, the record and the address of one service."""

    folder: Path
    origin: str
    keys: dict[str, SigningKey]
    audit: AuditLog
    records: Records
    terms: Authorisation
    resources: Resources
    clients: ExitStack

    def alert(self, *, entry: str = "REF-1 Ada Lovelace", crop: UInt8 | None = None, retention: timedelta = DAY) -> str:
        """Record an alert, with its sealed pictures, as an engine does; its id."""
        made = replace(
            sample_alert(entry=entry, authorisation=self.terms.reference),
            id=str(uuid.uuid4()),
            captured_at=datetime.now(UTC),
            crop=np.full((96, 96, 3), 140, np.uint8) if crop is None else crop,
            scene=np.full((54, 96, 3), 90, np.uint8),
        )
        recorded = self.audit.record(made)
        (section,) = [sink for sink in self.resources.deployment.sinks if sink.type == "evidence"]
        key = self.resources.evidence_key(section, expires_at=datetime.now(UTC) + DAY)
        assert key is not None
        open_sealed_evidence(section.folder, key, retention=retention).send(recorded)
        enter(self.records, recorded, retention=retention)
        return made.id

    def client(self, name: str | None = None) -> httpx.Client:
        """A browser, signed in where a name is given."""
        client = self.clients.enter_context(
            httpx.Client(base_url=self.origin, headers={"Origin": self.origin}, timeout=PATIENCE_S)
        )
        if name is not None:
            challenge = client.post("/v1/challenges", json={"name": name}).json()
            signature = base64.b64encode(self.keys[name].sign(challenge["message"].encode())).decode()
            answer = client.post("/v1/session", json={"nonce": challenge["nonce"], "signature": signature})
            assert answer.status_code == 201, answer.text
        return client

    def signed(
        self,
        name: str,
        kind: str,
        alert: str,
        what: str,
        *,
        reason: str = "",
        at: datetime | None = None,
        key: SigningKey | None = None,
    ) -> dict[str, str]:
        """A decision as a browser signs and sends it."""
        # To the millisecond, as it is signed.
        at = datetime.fromisoformat(utc_text(at or datetime.now(UTC)))
        signature = sign_decision(
            key or self.keys[name], kind=kind, alert=alert, by=name, what=what, at=at, reason=reason
        )
        return {"what": what, "decided_at": utc_text(at), "reason": reason, "signature": signature}

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.audit.entries()]


@contextmanager
def standing(
    folder: Path,
    *,
    more: str = "",
    watchlist: str = 'file = "square.watchlist"',
    port: int | None = None,
    security_keys: Mapping[str, str] = NOBODY,
) -> Iterator[Stand]:
    """A service that runs until the block ends.

    ``more`` is added to the deployment file, ``watchlist`` are the lines of its table. Where some have a security key,
    whose public half is given, browsers find the service at localhost.
    """
    keys = {}
    for name in ROLES:
        make_key(folder / f"{name}.pem")
        keys[name] = read_signing_key(folder / f"{name}.pem")
    for name, text in security_keys.items():
        (folder / f"{name}.pub").write_text(text)
    terms = authorisation(people={name: key.public.text for name, key in keys.items()} | dict(security_keys))
    audit = signed_log(folder)
    records = open_records(f"sqlite:///{folder / 'records.sqlite'}")
    deploy(records, audit, terms)
    port = port or free_port()
    origin = f"http://{'localhost' if security_keys else '127.0.0.1'}:{port}"
    (folder / "deployment.toml").write_text(
        deployment_text(
            permit_text(place="Market Square", lasts=timedelta(hours=2)),
            SIGNED_LOG,
            RECORDS,
            SEALED_EVIDENCE,
            "[recognition]\nthreshold = 0.478\n",
            people_and_roles(port, more=f'session_min = 240\norigin = "{origin}"\n'),
            name="Market Square",
            networks=SHIPPED,
            watchlist=watchlist,
        )
        + more
    )
    resources = open_resources(folder / "deployment.toml")
    with closing(audit), closing(records), resources, serving(resources, port), ExitStack() as clients:
        yield Stand(
            folder=folder,
            origin=origin,
            keys=keys,
            audit=audit,
            records=records,
            terms=terms,
            resources=resources,
            clients=clients,
        )


@contextmanager
def serving(resources: Resources, port: int, *, control: RunControl | None = None) -> Iterator[None]:
    app = build_app(resources, control=control)
    server = uvicorn.Server(server_config(app, resources.deployment.service))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    with httpx.Client() as client:
        for _ in range(400):
            try:
                client.get(f"http://127.0.0.1:{port}/sign-in")
                break
            except httpx.ConnectError:
                thread.join(0.05)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def people_and_roles(port: int, *, more: str = "") -> str:
    """The tables of a service for the people of ``ROLES``; ``more`` are further lines of its own."""
    people = "".join(f'{name} = "{name}.pub"\n' for name in ROLES)
    roles = "".join(f"{name} = {json.dumps(roles)}\n" for name, roles in ROLES.items())
    return f"[people]\n{people}[service]\nport = {port}\n{more}[service.roles]\n{roles}"
