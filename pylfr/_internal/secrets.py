"""Addresses of cameras and receivers: secrets come from the environment, and no message ever shows one."""

from __future__ import annotations

import os
import re
from urllib.parse import quote, urlsplit

from pylfr.errors import ConfigError

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def resolve_secrets(text: str, *, name: str, percent_encoded: bool = False) -> str:
    """``text`` with each ``${NAME}`` replaced by that environment variable, percent-encoded where it joins a URL.

    Raises ``ConfigError`` naming the variable where it is not set, or holds a character that cannot be printed: a
    token that was read with its line feed would otherwise fail much later. ``name`` says whose text this is.
    """

    def value_of(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if value is None:
            raise ConfigError(f"{name} refers to ${{{match[1]}}}, which is not set: export {match[1]} before starting")
        require_printable(value, name=f"{match[1]}, which {name} refers to,")
        return quote(value, safe="") if percent_encoded else value

    return _REFERENCE.sub(value_of, text)


def require_printable(text: str, *, name: str) -> None:
    """Raise ``ConfigError``, without showing ``text``, where it holds a control character or is not valid UTF-8."""
    for place, sign in enumerate(text, start=1):
        if sign in "\r\n":
            kind = "a line break"
        elif not sign.isprintable():
            kind = f"a character that cannot be printed (U+{ord(sign):04X})"
        else:
            continue
        raise ConfigError(f"{name} has {kind} {_where(place, text)}: remove it")


def require_ascii(text: str, *, name: str) -> None:
    """Raise ``ConfigError``, without showing ``text``, unless every character is visible ASCII, as a header needs."""
    require_printable(text, name=name)
    for place, sign in enumerate(text, start=1):
        if not "!" <= sign <= "~":
            kind = "a space" if sign == " " else "a character outside ASCII"
            raise ConfigError(f"{name} has {kind} {_where(place, text)}: percent-encode or remove it")


def _where(place: int, text: str) -> str:
    return "at its end" if place == len(text) else f"at character {place}"


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
