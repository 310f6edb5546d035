"""Whom a client of TLS trusts: the authorities of the system, or those of a file."""

from __future__ import annotations

import ssl
from os import PathLike
from pathlib import Path

from pylfr._internal.regular_file import read_file


def client_context(ca: str | PathLike[str] | None) -> ssl.SSLContext:
    """The settings of a client that verifies whom it talks to, by the certificates in ``ca`` (PEM) or the system's.

    Raises ``OSError``, which ``ssl.SSLError`` is, for a file that cannot be read or holds no certificate; a pipe or a
    device is refused, where OpenSSL would wait for it.
    """
    if ca is None:
        return ssl.create_default_context()
    # Between certificates there may be words, in any language.
    text = read_file(Path(ca)).decode("ascii", "ignore")
    if not text:
        # OpenSSL would not be asked then, and the system's authorities would be trusted in their place.
        raise ssl.SSLError(1, f"{ca} is empty")
    return ssl.create_default_context(cadata=text)
