"""What the catalogue says of the networks that are measured."""

from __future__ import annotations

from pylfr.models.store import open_store


def suggested_threshold(embedder: str) -> float:
    """What the embedder's manifest suggests: a run has a threshold before anybody knows the equal one."""
    embed = open_store().manifest(embedder).embed
    if embed is None or embed.suggested_threshold is None:
        raise SystemExit(f"{embedder} suggests no threshold")
    return embed.suggested_threshold
