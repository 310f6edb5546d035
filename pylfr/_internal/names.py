"""One rule for every name: of people, entries, cameras, deployments and whoever decides, wherever it comes in."""

from __future__ import annotations

import unicodedata
from typing import Final

LONGEST_NAME: Final = 200

# The characters that join letters or keep them apart, and are not seen: Persian and Indic names need them.
_JOINERS = "\u200c\u200d"
_VIRAMA = 9
# Letters that show nothing: fillers of Hangul.
_BLANK_LETTERS = "\u115f\u1160\u3164\uffa0"


def name_fault(text: str) -> str | None:
    """Why ``text`` is no name, as the end of a sentence that begins with what it is; None where it is one.

    A name has 1 to 200 characters, a letter or a digit among them, and nothing that moves a cursor, starts a line or
    turns the direction of writing. Joiners are allowed where they shape the letter before.
    """
    if not 0 < len(text) <= LONGEST_NAME:
        return f"must have 1 to {LONGEST_NAME} characters, it has {len(text)}"
    for place, sign in enumerate(text):
        if not sign.isprintable() and not (sign in _JOINERS and _may_join(text[:place])):
            return f"must have printable characters only, it has {ascii(sign)[1:-1]}"
    if not any(unicodedata.category(sign)[0] in "LN" and sign not in _BLANK_LETTERS for sign in text):
        return "must have a letter or a digit, it is blank"
    return None


def require_name(what: str, text: str) -> str:
    """``text``, which is ``what``. Raises ``ValueError`` where it is no name."""
    fault = name_fault(text)
    if fault is not None:
        raise ValueError(f"{what} {fault}, got {text[:LONGEST_NAME]!r}")
    return text


def _may_join(before: str) -> bool:
    """After an Arabic letter and after a virama (RFC 5892, A.1 and A.2): elsewhere a joiner changes nothing seen."""
    last = before[-1:]
    return bool(last) and (unicodedata.bidirectional(last) == "AL" or unicodedata.combining(last) == _VIRAMA)
