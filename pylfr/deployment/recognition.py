"""How a deployment recognises: the rules in its file, completed by what its networks and its certificate say."""

from __future__ import annotations

from pylfr._internal.canonical_json import digest
from pylfr.deployment.sections.recognition import BatchSection, RecognitionSection
from pylfr.engine.alert_policy import AlertRules
from pylfr.engine.build import EngineSettings
from pylfr.engine.stages import EngineLimits
from pylfr.errors import ConfigError
from pylfr.faces.best_shots import SelectionRules
from pylfr.faces.quality import QualityGate
from pylfr.governance.authorisation.certificates import FusionRules
from pylfr.models.manifest import ModelManifest


def threshold_of(recognition: RecognitionSection, manifest: ModelManifest, *, references: int) -> float:
    """The threshold (cosine) that is asked for, or else what the embedder suggests for so many reference images.

    Raises ``ConfigError`` where there is neither.
    """
    if recognition.threshold is not None:
        return recognition.threshold
    suggested = manifest.embedding.suggestion(references)
    if suggested is not None:
        return suggested.threshold
    longest = manifest.embedding.longest_suggested
    if longest:
        raise ConfigError(
            f"{manifest.name} suggests thresholds for watchlists of up to {longest:,} reference images, this one has "
            f"{references:,}: a longer one needs a higher threshold, so give one (`pylfr calibrate` finds it)"
        )
    raise ConfigError(f"{manifest.name} suggests no threshold: give one (a cosine from -1 to 1)")


def threshold_in_words(recognition: RecognitionSection, manifest: ModelManifest, *, references: int) -> str | None:
    """What must be known of a threshold that no certificate backs; None for one that is at least the suggestion.

    Raises ``ConfigError`` as ``threshold_of``.
    """
    threshold = threshold_of(recognition, manifest, references=references)
    table = manifest.embedding
    suggested = table.suggestion(references)
    if suggested is None:
        if not table.suggested_thresholds:
            return None
        return (
            f"threshold {threshold:g}: nothing was measured with {manifest.name} beyond {table.longest_suggested:,} "
            f"reference images, this watchlist has {references:,} (`pylfr calibrate`)"
        )
    of = f"{manifest.name} suggests for up to {suggested.watchlist:,} reference images ({table.threshold_rests_on})"
    if recognition.threshold is None:
        return f"threshold {threshold:g}: what {of}; your own cameras need their own (`pylfr calibrate`)"
    if threshold < suggested.threshold:
        return (
            f"threshold {threshold:g} is lower than {suggested.threshold:g}, which {of}: with {references:,} on this "
            "watchlist, expect more false alerts than that"
        )
    return None


def settings_of(
    recognition: RecognitionSection, batch: BatchSection, threshold: float, *, calibrated: bool = False
) -> EngineSettings:
    """The rules of an engine that alerts from this threshold (``threshold_of``) on."""
    return EngineSettings(
        alerts=AlertRules(
            threshold=threshold,
            calibrated=calibrated,
            best_scores=recognition.best_scores,
            lone_margin=recognition.lone_margin,
            cooldown_s=recognition.cooldown_s,
        ),
        best_shots=SelectionRules(
            comparisons_hz=recognition.comparisons_hz,
            live_ms=recognition.compare_ms,
            decided_ms=recognition.decide_ms,
            gate=QualityGate(interocular_px=recognition.min_interocular_px),
        ),
        limits=EngineLimits(candidates=recognition.candidates, max_faces_a_frame=recognition.max_faces_a_frame),
        detect_hz=recognition.detect_hz,
        min_detect_hz=recognition.slowest_hz,
        closer_hz=recognition.closer_hz,
        full_look_s=recognition.full_look_s,
        batch_size=batch.size,
        wait_ms=batch.wait_ms,
    )


def fusion_rules_of(recognition: RecognitionSection, *, side_px: int | None = None) -> FusionRules:
    """How a deployment makes one score of a track's faces; ``side_px`` as in [models]."""
    fields = recognition.model_dump(include=set(FusionRules.model_fields))
    return FusionRules.model_validate({**fields, "side_px": side_px})


def preprocessing_of(manifest: ModelManifest) -> str:
    """sha256 of how a network is fed: its pixels, its crop and where the landmarks belong in it."""
    fed = manifest.model_dump(
        mode="json",
        include={"head", "pixels", "embed"},
        exclude={"embed": {"suggested_thresholds", "threshold_rests_on"}},
    )
    return digest(fed)
