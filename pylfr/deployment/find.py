"""Who of these people is in this video: a rehearsal in one call.

import pylfr

for match in pylfr.find({"Ada": "ada.jpg"}, "walk.mp4"):
    print(match.name, f"at {match.at_s:.1f} s, score {match.score:.3f}")
    match.draw().save(f"{match.name}.jpg")
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from pylfr.deployment.open import open_rehearsal
from pylfr.deployment.recognition import threshold_in_words
from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.engine.engine import Engine
from pylfr.errors import MediaError
from pylfr.models.default import choose
from pylfr.models.store import open_store
from pylfr.sinks.evidence import draw_evidence
from pylfr.types import Alert, Device

log = logging.getLogger(__name__)

Paths = Path | str | Sequence[Path | str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Match:
    """A possible match in a recorded video: a prompt for a person to look, never a decision.

    ``video`` is the camera that the video plays (its stem), ``at_s`` seconds from its first frame, ``score`` the
    track's fused comparison score (cosine), which reached ``threshold``; ``alert`` has the rest.
    """

    name: str
    video: str
    at_s: float
    score: float
    threshold: float
    alert: Alert = field(repr=False)

    def draw(self) -> Image.Image:
        """The face beside the reference image, to show or to ``save``; every other face in it is filled opaque."""
        return Image.fromarray(draw_evidence(self.alert))


def find(
    people: Mapping[str, Paths],
    video: Paths,
    *,
    detector: str | None = None,
    embedder: str | None = None,
    threshold: float | None = None,
    device: Device = "cpu",
    runtime: str = "auto",
) -> Iterator[Match]:
    """Each possible match of ``people`` (names with reference images) in one or more recorded videos, as it is found.

    A rehearsal: recordings only, nothing is stored, no authorisation is needed. Without ``detector`` and ``embedder``
    the best networks on this machine are used, without ``threshold`` what the embedder suggests for so many reference
    images, which is uncalibrated. Raises ``ConfigError`` where there is no such suggestion, ``EnrolmentError`` where an
    image shows no face or several, what ``open_rehearsal`` raises for a network or device that is not available, and
    ``MediaError``, at the end, where a video could not be read to its end.
    """
    store = open_store()
    choices = [choose("detect", detector, store), choose("embed", embedder, store)]
    for choice in choices:
        log.info("%s", choice.reason)
        if (notice := store.manifest(choice.name).notice) is not None:
            log.warning("%s", notice)
    pictures = {name: _paths(images) for name, images in people.items()}
    recognition = RecognitionSection(threshold=threshold)
    references = sum(len(images) for images in pictures.values())
    words = threshold_in_words(recognition, store.manifest(choices[1].name), references=references)
    if words is not None:
        log.log(logging.INFO if threshold is None else logging.WARNING, "%s", words)
    started_at = datetime.now(UTC)
    engine = open_rehearsal(
        _paths(video),
        pictures,
        detector=choices[0].name,
        embedder=choices[1].name,
        recognition=recognition,
        device=device,
        runtime=runtime,
        started_at=started_at,
    )
    return _matches(engine, started_at)


def _matches(engine: Engine, started_at: datetime) -> Iterator[Match]:
    for recorded in engine.run():
        alert = recorded.value
        yield Match(
            name=alert.entry,
            video=alert.camera,
            at_s=(alert.captured_at - started_at).total_seconds(),
            score=alert.score,
            threshold=alert.threshold,
            alert=alert,
        )
    summary = engine.summary()
    log.info("%s", summary.to_json())
    if summary.errors:
        raise MediaError("; ".join(summary.errors))


def _paths(given: Paths) -> list[Path]:
    return [Path(given)] if isinstance(given, Path | str) else [Path(each) for each in given]
