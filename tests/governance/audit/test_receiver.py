"""Checkpoints on another machine: only the log's key adds to them, nothing is ever replaced, and a cut log shows."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pylfr.errors import AuditError
from pylfr.governance.audit.audit import AuditLog, read_audit
from pylfr.governance.audit.chain import GENESIS, LogEntry, sign_checkpoint
from pylfr.governance.audit.exporter import AwayError, CheckpointExporter, ReceiverClient
from pylfr.governance.audit.log_files import LogHead
from pylfr.governance.audit.receiver import CheckpointReceiver, Tls, open_receiver
from pylfr.governance.keys.keys import PublicKey, SigningKey, read_signing_key
from pylfr.types import Event
from tests.governance.reviews import signed_log
from tests.governance.samples import NOON

KEY, OTHER = (SigningKey(Ed25519PrivateKey.generate()) for _ in range(2))
TICK = Event(kind="tick", details={})


@contextmanager
def serving(folder: Path, key: PublicKey, *, port: int = 0, tls: Tls | None = None) -> Iterator[CheckpointReceiver]:
    receiver = open_receiver(folder, [key], host="127.0.0.1", port=port, tls=tls)
    thread = threading.Thread(target=receiver.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.shutdown()
        thread.join()
        receiver.server_close()


def client(receiver: CheckpointReceiver, key: PublicKey = KEY.public, **given: object) -> ReceiverClient:
    return ReceiverClient(url=f"http://127.0.0.1:{receiver.server_port}", key=key, **given)  # type: ignore[arg-type]


def checkpoint(sequence: int, *, key: SigningKey = KEY, kind: str = "tick") -> bytes:
    entry = LogEntry(sequence=sequence, at=NOON, kind=kind, details={}, previous=GENESIS)
    return sign_checkpoint(entry, key).line()


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_checkpoints_are_added_once_and_survive_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path, KEY.public) as receiver:
        assert client(receiver).head() == LogHead(sequence=0, digest=GENESIS)
        head = client(receiver).send([checkpoint(1), checkpoint(2)])
        assert (head.sequence, client(receiver).send([checkpoint(2), checkpoint(3)]).sequence) == (2, 3)
    path = tmp_path / f"{KEY.public.fingerprint}.checkpoints"
    assert path.read_bytes() == checkpoint(1) + checkpoint(2) + checkpoint(3)
    path.write_bytes(path.read_bytes() + checkpoint(4)[:-9])
    with serving(tmp_path, KEY.public) as receiver:
        assert client(receiver).send([checkpoint(4)]).sequence == 4
    path.write_bytes(checkpoint(1) + checkpoint(2, key=OTHER))
    with pytest.raises(AuditError, match=r"checkpoints, line 2: it was not signed with this log's key"):
        open_receiver(tmp_path, [KEY.public], host="127.0.0.1", port=0)


def test_only_the_logs_key_adds_and_nothing_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path, KEY.public) as receiver:
        asked = client(receiver)
        asked.send([checkpoint(1), checkpoint(2)])
        for lines, said in (
            ([checkpoint(3, key=OTHER)], "was not signed with this log"),
            ([b"{}\n"], "no checkpoint"),
            ([checkpoint(3), checkpoint(4, key=OTHER)], "was not signed with this log"),
        ):
            with pytest.raises(AwayError, match=f"status 400: .*{said}"):
                asked.send(lines)
        for lines in ([checkpoint(2, kind="another")], [checkpoint(4), checkpoint(3)]):
            with pytest.raises(AuditError, match="has other checkpoints than this log"):
                asked.send(lines)
        with pytest.raises(AwayError, match="status 404"):
            client(receiver, OTHER.public).head()
        assert asked.head().sequence == 2
        assert (tmp_path / f"{KEY.public.fingerprint}.checkpoints").read_bytes() == checkpoint(1) + checkpoint(2)
        connection = http.client.HTTPConnection("127.0.0.1", receiver.server_port, timeout=5)
        connection.putrequest("POST", f"/v1/{KEY.public.fingerprint}/checkpoints")
        connection.putheader("Content-Length", str(10**9))
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()


def test_a_log_that_was_cut_with_its_checkpoints_does_not_start_against_the_receiver(tmp_path: Path) -> None:
    with closing(signed_log(tmp_path)) as log:
        public = read_signing_key(tmp_path / "record.key").public
        with serving(tmp_path / "there", public) as receiver:
            exporter = CheckpointExporter(log, tmp_path / "elsewhere", client(receiver, public))
            exporter.start()
            exporter.require_compared()
            for _ in range(5):
                log.note(TICK)
            exporter.close()
            assert client(receiver, public).head() == log.head
            received = tmp_path / "there" / f"{public.fingerprint}.checkpoints"
            assert read_audit(tmp_path / "audit.log", checkpoints=received, key=public).flaws == ()
            log.close()
            for name in ("audit.log", "elsewhere"):
                path = tmp_path / name
                path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
            with closing(signed_log(tmp_path)) as shorter:
                again = CheckpointExporter(shorter, tmp_path / "elsewhere", client(receiver, public))
                with pytest.raises(AuditError, match="has entry 5 of this log, which is gone"):
                    again.start()


def test_a_receiver_that_is_away_is_logged_and_given_what_it_missed(tmp_path: Path) -> None:
    with closing(signed_log(tmp_path)) as log:
        public = read_signing_key(tmp_path / "record.key").public
        with serving(tmp_path / "there", public) as receiver:
            port = receiver.server_port
        exporter = CheckpointExporter(
            log, tmp_path / "elsewhere", ReceiverClient(url=f"http://127.0.0.1:{port}", key=public)
        )
        exporter.start()
        with pytest.raises(AuditError, match="is away"):
            exporter.require_compared()
        log.note(TICK)
        with serving(tmp_path / "there", public, port=port) as receiver:
            until(lambda: client(receiver, public).head() == log.head)
            kinds = [entry.kind for entry in log.entries()]
            assert kinds == ["checkpoint-receiver-away", "tick", "checkpoint-receiver-back"]
            exporter.require_compared()
            exporter.close()


def test_it_is_encrypted_where_a_certificate_is_given_and_only_the_named_authority_is_trusted(tmp_path: Path) -> None:
    tls = made_certificate(tmp_path)
    with serving(tmp_path / "there", KEY.public, tls=tls) as receiver:
        url = f"https://127.0.0.1:{receiver.server_port}"
        trusting = ReceiverClient(url=url, key=KEY.public, ca=tls.certificate)
        assert trusting.send([checkpoint(1)]).sequence == 1
        with pytest.raises(AwayError, match="certificate verify failed"):
            ReceiverClient(url=url, key=KEY.public).head()
    assert ssl.OPENSSL_VERSION


def made_certificate(folder: Path) -> Tls:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOON - timedelta(days=3650))
        .not_valid_after(NOON + timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "tls.pem").write_bytes(made.public_bytes(pem))
    plain = serialization.NoEncryption()
    (folder / "tls.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return Tls(certificate=folder / "tls.pem", private_key=folder / "tls.key")


def test_a_log_is_sent_whole_when_it_had_grown_before(tmp_path: Path) -> None:
    log: AuditLog
    with closing(signed_log(tmp_path)) as log:
        public = read_signing_key(tmp_path / "record.key").public
        for _ in range(40):
            log.note(TICK)
        with serving(tmp_path / "there", public) as receiver:
            exporter = CheckpointExporter(log, tmp_path / "elsewhere", client(receiver, public))
            exporter.start()
            exporter.close()
            assert client(receiver, public).head() == log.head


def test_whoever_connects_and_says_nothing_keeps_nobody_waiting(tmp_path: Path) -> None:
    tls = made_certificate(tmp_path)
    with serving(tmp_path / "store", KEY.public, tls=tls) as receiver:
        address = "127.0.0.1", receiver.server_port
        with socket.create_connection(address), socket.create_connection(address) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            url = f"https://127.0.0.1:{receiver.server_port}"
            assert ReceiverClient(url=url, key=KEY.public, ca=tls.certificate).head().sequence == 0


def test_one_connection_too_many_is_closed_and_there_is_room_again_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pylfr.governance.audit.receiver.MOST_CONNECTIONS", 2)
    with serving(tmp_path, KEY.public) as receiver:
        address = "127.0.0.1", receiver.server_port
        held = [socket.create_connection(address) for _ in range(2)]
        with socket.create_connection(address, timeout=20) as refused:
            assert refused.recv(1) == b""
        for each in held:
            each.close()
        until(lambda: receiver._room._value == 2)
        assert client(receiver).head().sequence == 0
