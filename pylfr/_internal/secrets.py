"""Addresses of cameras and receivers: secrets come from the environment, and no message ever shows one."""

from __future__ import annotations

import os
import re
from urllib.parse import quote, urlsplit

from pylfr.errors import ConfigError

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def resolve_secrets(text: str, *, name: str, percent_encoded: bool = False) -> str:
    """``text`` with each ``${NAME}`` replaced by that environment variable, percent-encoded where it joins a URL.

    Raises ``ConfigError`` naming the variable where it is not set; ``name`` says whose text this is.
    """

    def value_of(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if value is None:
            raise ConfigError(f"{name} refers to ${{{match[1]}}}, which is not set: export {match[1]} before starting")
        return quote(value, safe="") if percent_encoded else value

    return _REFERENCE.sub(value_of, text)


def redact(url: str) -> str:
    """``url`` without what may be secret: user, password, query and fragment read ``***``."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "***"
    if not parts.scheme or not parts.netloc:
        return "***" if "@" in url or "?" in url else url
    _, at, host = parts.netloc.rpartition("@")
    hidden = "***@" if at else ""
    tail = "?***" if parts.query or parts.fragment else ""
    return f"{parts.scheme}://{hidden}{host}{parts.path}{tail}"
