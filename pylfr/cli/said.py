"""Options that people fill in with words: names by the one rule of names, and reasons that say something."""

from __future__ import annotations

import typer

from pylfr._internal.names import name_fault


def named(text: str | None) -> str | None:
    """The callback of an option that takes a name. Raises ``typer.BadParameter`` where it is none."""
    fault = name_fault(text) if text is not None else None
    if fault is not None:
        raise typer.BadParameter(f"{fault if text and text.strip() else 'must not be blank'}, got {text!r}")
    return text


def all_named(texts: list[str]) -> list[str]:
    """As ``named``, of an argument that takes several."""
    for text in texts:
        named(text)
    return texts


def worded(text: str | None) -> str | None:
    """The callback of an option that takes a reason. Raises ``typer.BadParameter`` where it is blank."""
    if text is not None and not text.strip():
        raise typer.BadParameter(f"must not be blank, got {text!r}")
    return text
