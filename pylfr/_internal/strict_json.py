"""JSON of others, read with one kind of error: whatever is wrong with it is a ``ValueError`` that says what."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from pylfr._internal.canonical_json import Plain

# Deeper than anything of ours; Python gives up, in its own way, at about a thousand.
_DEEPEST = 64
# Integers beyond 64 bits are no number of ours, and databases and arrays cannot hold them.
_LARGEST = 2**63 - 1


def parse_json(content: bytes | str) -> Plain:
    """The value that ``content`` is.

    Raises ``ValueError`` for anything that is not JSON in UTF-8 as RFC 8259 and I-JSON (RFC 7493) have it: NaN, a key
    that is there twice, half of a character, an integer of more than 64 bits, nesting deeper than 64.
    """
    text = content.decode() if isinstance(content, bytes) else content
    try:
        value: Plain = json.loads(
            text, parse_constant=_no_number, parse_int=_integer, parse_float=_float, object_pairs_hook=_object
        )
    except RecursionError:
        raise ValueError(f"it is nested deeper than {_DEEPEST}") from None
    _require_shallow(value)
    # Halves of characters come as escapes, and cannot be written again.
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def parse_object(content: bytes | str, *keys: str, optional: tuple[str, ...] = ()) -> dict[str, Plain]:
    """The object that ``content`` is. Raises ``ValueError`` also where it has other keys than ``keys``, all of them."""
    value = parse_json(content)
    if not isinstance(value, dict):
        raise ValueError(f"it must be an object, got {type(value).__name__}")
    if missing := sorted(set(keys) - value.keys()):
        raise ValueError(f"it lacks {missing[0]!r}")
    if keys and (unknown := sorted(value.keys() - set(keys) - set(optional))):
        raise ValueError(f"it has the unknown key {unknown[0]!r}")
    return value


def text_of(value: Plain, name: str) -> str:
    """``value`` as a text. Raises ``ValueError`` naming it where it is none."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text, got {type(value).__name__}")
    return value


def integer_of(value: Plain, name: str, *, least: int = 0) -> int:
    """``value`` as an integer from ``least`` on. Raises ``ValueError`` naming it where it is none."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be an integer from {least}, got {value!r}"[:200])
    return value


def moment_of(value: Plain, name: str) -> datetime:
    """``value``, ISO 8601 with a time zone, in UTC. Raises ``ValueError`` naming it where it is no such time."""
    try:
        moment = datetime.fromisoformat(text_of(value, name))
        if moment.tzinfo is None:
            raise ValueError("no time zone")
        # Near the years 1 and 9999 another zone has no such time.
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be a time with its zone, got {value!r}"[:200]) from error


def _require_shallow(value: Plain) -> None:
    level: list[Plain] = [value]
    for _ in range(_DEEPEST):
        level = [
            each
            for outer in level
            for each in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
        ]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {_DEEPEST}")


def _no_number(word: str) -> Plain:
    raise ValueError(f"{word} is no number")


def _integer(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) > _LARGEST:
        raise ValueError(f"an integer of {len(digits)} digits is too large")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{digits[:20]} is too large")
    return value


def _object(pairs: list[tuple[str, Plain]]) -> dict[str, Plain]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is there twice")
    return value
