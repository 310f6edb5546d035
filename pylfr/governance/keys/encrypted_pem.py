"""A private key under a passphrase, as a file that OpenSSL and browsers open: PKCS #8 with PBES2 (RFC 8018).

The passphrase is stretched by PBKDF2 with HMAC-SHA-256, the one way that WebCrypto has too; the cipher is AES-256-CBC.
``cryptography`` writes the same with 2,048 rounds and has no setting for more, which somebody who has the file tries in
no time. ``cryptography`` reads the file, which states its number of rounds; one that asks for hours of work is refused.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import textwrap

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7

# What OWASP asks of PBKDF2 with HMAC-SHA-256 (Password Storage Cheat Sheet, 2023): a fifth of a second.
ROUNDS = 600_000
# Some seconds of work. A hostile file could ask for hours.
_MOST_ROUNDS = 10_000_000
_SALT_BYTES = 16
_IV_BYTES = 16

# Object identifiers as DER has them, with their tag and length.
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_PBKDF2 = bytes.fromhex("06092a864886f70d01050c")
_HMAC_SHA256 = bytes.fromhex("06082a864886f70d0209")
_AES_256_CBC = bytes.fromhex("060960864801650304012a")
_INTEGER, _OCTETS, _NULL, _SEQUENCE = 0x02, 0x04, b"\x05\x00", 0x30
_ARMOUR = re.compile(rb"-----BEGIN ENCRYPTED PRIVATE KEY-----(.*?)-----END", re.DOTALL)


def encrypt_pem(pkcs8: bytes, passphrase: str) -> bytes:
    """The PEM file of a private key, PKCS #8 in DER, under ``passphrase``."""
    salt, iv = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_IV_BYTES)
    key = PBKDF2HMAC(algorithm=SHA256(), length=32, salt=salt, iterations=ROUNDS).derive(passphrase.encode())
    padder, encryptor = PKCS7(AES.block_size).padder(), Cipher(AES(key), CBC(iv)).encryptor()
    sealed = encryptor.update(padder.update(pkcs8) + padder.finalize()) + encryptor.finalize()
    rounds = ROUNDS.to_bytes(ROUNDS.bit_length() // 8 + 1, "big")
    derivation = _sequence(
        _PBKDF2, _sequence(_element(_OCTETS, salt), _element(_INTEGER, rounds), _sequence(_HMAC_SHA256, _NULL))
    )
    scheme = _sequence(_PBES2, _sequence(derivation, _sequence(_AES_256_CBC, _element(_OCTETS, iv))))
    text = base64.b64encode(_sequence(scheme, _element(_OCTETS, sealed))).decode("ascii")
    lines = "\n".join(textwrap.wrap(text, 64))
    return f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{lines}\n-----END ENCRYPTED PRIVATE KEY-----\n".encode("ascii")


def require_few_rounds(pem: bytes) -> None:
    """Raise ``ValueError`` where stretching a key's passphrase would take hours. Other files pass."""
    found = _ARMOUR.search(pem)
    if found is None:
        return
    try:
        der = base64.b64decode(found[1])
    except binascii.Error:
        return
    place = der.find(_PBKDF2)
    if place < 0:
        return
    # A sequence of salt, number of rounds and hash, each a tag, a length and content.
    _, inner, _ = _element_at(der, place + len(_PBKDF2))
    _, _, after_salt = _element_at(der, inner)
    tag, start, end = _element_at(der, after_salt)
    rounds = int.from_bytes(der[start:end], "big")
    if tag == _INTEGER and rounds > _MOST_ROUNDS:
        raise ValueError(f"it asks for more than {_MOST_ROUNDS:,} rounds of PBKDF2")


def _element_at(der: bytes, place: int) -> tuple[int, int, int]:
    """The tag of the element at ``place``, and where its content begins and ends; empty where there is none."""
    head = der[place : place + 2]
    if len(head) < 2:
        return 0, len(der), len(der)
    tag, length = head
    start = place + 2
    if length >= 0x80:
        more = length - 0x80
        length = int.from_bytes(der[start : start + more], "big")
        start += more
    return tag, start, min(start + length, len(der))


def _sequence(*parts: bytes) -> bytes:
    return _element(_SEQUENCE, b"".join(parts))


def _element(tag: int, content: bytes) -> bytes:
    """One element of DER: its tag, its length in the shortest form, and its content."""
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    written = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(written)]) + written + content
