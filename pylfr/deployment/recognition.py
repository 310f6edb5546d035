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


def threshold_of(recognition: RecognitionSection, manifest: ModelManifest) -> float:
    """The threshold (cosine) that is asked for, or else the embedder's suggestion.

    Raises ``ConfigError`` where there is neither.
    """
    suggested = manifest.embed.suggested_threshold if manifest.embed is not None else None
    threshold = recognition.threshold if recognition.threshold is not None else suggested
    if threshold is None:
        raise ConfigError(f"{manifest.name} suggests no threshold: give one (a cosine from -1 to 1)")
    return threshold


def settings_of(
    recognition: RecognitionSection, batch: BatchSection, manifest: ModelManifest, *, calibrated: bool = False
) -> EngineSettings:
    """The rules of an engine whose embedder has this manifest. Raises ``ConfigError`` as ``threshold_of``."""
    return EngineSettings(
        alerts=AlertRules(
            threshold=threshold_of(recognition, manifest),
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
    return digest(manifest.model_dump(mode="json", include={"head", "pixels", "embed"}))
