"""What the catalogue says of the networks that are measured."""

from __future__ import annotations

from pylfr.models.store import open_store


def suggested_threshold(embedder: str, people: int) -> float:
    """What the embedder's manifest suggests for so many: a run has a threshold before anybody knows the equal one."""
    suggestion = open_store().manifest(embedder).embedding.suggestion(people)
    if suggestion is None:
        raise SystemExit(f"{embedder} suggests no threshold for {people} people")
    return suggestion.threshold
