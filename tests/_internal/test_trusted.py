"""A client trusts the certificates of a file, and nothing that it would have to wait for."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from pylfr._internal.regular_file import NotAFileError
from pylfr._internal.trusted import client_context
from tests.governance.audit.test_receiver import made_certificate


def test_the_certificates_of_a_file_are_trusted_whatever_stands_between_them(tmp_path: Path) -> None:
    certificate = made_certificate(tmp_path).certificate
    certificate.write_bytes("Behörde für Kameras\n".encode() + certificate.read_bytes())
    context = client_context(certificate)
    assert [found["subject"] for found in context.get_ca_certs()] == [((("commonName", "receiver"),),)]
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_without_a_file_the_systems_are_trusted() -> None:
    assert client_context(None).verify_mode == ssl.CERT_REQUIRED


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ca.pem")
    with pytest.raises(NotAFileError, match="a pipe"):
        client_context(tmp_path / "ca.pem")


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", bytes(range(256))])
def test_a_file_without_a_certificate_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(ssl.SSLError):
        client_context(str(tmp_path / "ca.pem"))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client_context(tmp_path / "ca.pem")
