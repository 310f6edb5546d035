"""Lengths of time as people say them."""

from __future__ import annotations

from datetime import timedelta

_DAY_H = 24


def duration_text(length: timedelta) -> str:
    """Hours, and from two days on days: ``6 h``, ``36 h``, ``31 days``, ``31 days 1.5 h``."""
    hours = round(length.total_seconds() / 3600, 2)
    if abs(hours) < 2 * _DAY_H:
        return f"{hours:g} h"
    days, rest = divmod(hours, _DAY_H)
    return f"{days:.0f} days" + (f" {rest:.3g} h" if rest else "")
