"""Text of others, fit for a terminal, a log line and a page: nothing in it moves the cursor or starts a line."""

from __future__ import annotations

import re


def printable(text: str) -> str:
    r"""``text`` with every character that is not printable written out, as in ``\x1b`` and ``\u202e``.

    Control characters, line breaks of every kind, characters that change the direction of writing and halves of
    characters are all not printable. Joiners stay, without which Persian and Indic words are misspelt.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def one_line(text: str) -> str:
    """As ``printable``, with line breaks and tabs as spaces: for messages of our own, which may quote others."""
    return printable(" ".join(text.split()) if not text.isprintable() else text)


def markdown(text: str) -> str:
    """``text`` of whoever wrote it, in Markdown: one line that shows as it is, without links, pictures or HTML."""
    return _MARKS.sub(r"\\\g<0>", one_line(text))


# What Markdown would take for a mark; an underscore within a word, as in a network's name, is none.
_MARKS = re.compile(r"[\\`*\[\]<>|~&]|(?<!\w)_|_(?!\w)|(?<=^)[#+-](?=\s)|(?<=^)\d+(?=[.)]\s)")


def excerpt(text: str, most: int = 80) -> str:
    """``text``, or its beginning and three dots where it is longer than ``most``: for messages that quote others."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _shown(sign: str) -> str:
    return sign if sign.isprintable() or sign in _JOINERS else ascii(sign)[1:-1]


_JOINERS = "\u200c\u200d"
