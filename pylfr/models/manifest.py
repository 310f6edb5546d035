"""A network's description: a TOML manifest of its file, licence, input and output head. No code is needed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PositiveInt, field_validator, model_validator

from pylfr._internal.toml_model import ConfigModel, read_tables, record_from
from pylfr.errors import ModelError
from pylfr.types import Float32

Task = Literal["detect", "embed"]
Head = Literal["yunet", "scrfd", "template"]
Triple = tuple[float, float, float]
Point = tuple[float, float]

# Landmark positions in ArcFace's 112 x 112 crop, pixels (insightface's published template).
ARCFACE_SIDE_PX = 112
ARCFACE_TEMPLATE: tuple[Point, ...] = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)


class SourceTable(ConfigModel):
    """Where a user gets the file. Without ``url`` it can only be imported.

    Without ``sha256`` (none was published) it can also only be imported, and its hash is recorded then. ``shipped``
    networks come with pylfr. ``member`` is the file's name inside the zip archive at ``url``, in any folder of it.
    """

    page: str
    shipped: bool = False
    url: str | None = Field(default=None, pattern=r"^https://")
    member: str | None = Field(default=None, pattern=r"^[\w.+-]+$")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    size_bytes: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _what_is_fetched_is_known(self) -> SourceTable:
        if self.url is not None and (self.sha256 is None or self.size_bytes is None):
            raise ValueError("url needs sha256 and size_bytes: nothing is fetched that cannot be verified")
        return self


class LicenceTable(ConfigModel):
    """The licence, and the training data as far as it is known."""

    id: str = Field(min_length=1)
    commercial_use: bool
    trained_on: str = "not stated by its authors"


class PixelsTable(ConfigModel):
    """The network's input: ``(value - mean) * scale`` for each channel, value 0 to 255, in this colour order.

    ``max_batch`` is the most images per call, None for any number.
    """

    colour: Literal["bgr", "rgb"]
    mean: Triple = (0.0, 0.0, 0.0)
    scale: Triple = (1.0, 1.0, 1.0)
    max_batch: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _scale_keeps_the_picture(self) -> PixelsTable:
        if 0 in self.scale:
            raise ValueError("scale must be three numbers other than 0")
        return self


class DetectTable(ConfigModel):
    """A detector's parameters: the long side of its input, what its sides are multiples of, its strides and anchors.

    ``face_px`` is the width of the smallest face that it finds reliably, pixels of its input.
    ``fixed_size`` is width and height, pixels, of the input of a network with static axes.
    """

    side_px: int = Field(default=640, ge=32)
    multiple_of: int = Field(default=32, ge=1)
    face_px: int = Field(default=16, ge=4)
    fixed_size: tuple[PositiveInt, PositiveInt] | None = None
    strides: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (8, 16, 32)
    anchors: int = Field(default=1, ge=1)
    score_threshold: float = Field(gt=0, lt=1)


class SuggestedThreshold(ConfigModel):
    """The cosine from which an alert is suggested where so many reference images are on the watchlist, or fewer."""

    watchlist: int = Field(ge=1)
    threshold: float = Field(ge=-1, le=1)


class EmbedTable(ConfigModel):
    """An embedder's parameters: side of its crop, landmark positions in it, thresholds to start from.

    ``suggested_thresholds`` are by the length of the watchlist: whoever is compared with more people resembles one of
    them more, so that a threshold measured with ten people gives false alerts with a hundred.
    """

    side_px: int = Field(ge=16)
    dimension: int = Field(ge=2)
    template: Literal["arcface"] | Annotated[tuple[Point, ...], Field(min_length=5, max_length=5)]
    template_unit: Literal["pixels", "side"] = "pixels"
    suggested_thresholds: tuple[SuggestedThreshold, ...] = ()
    threshold_rests_on: str = "nothing: calibrate it"

    @property
    def landmark_template(self) -> Float32:
        """float32 [5, 2], pixels of the crop."""
        if self.template == "arcface":
            points, unit = ARCFACE_TEMPLATE, self.side_px / ARCFACE_SIDE_PX
        else:
            points, unit = self.template, self.side_px if self.template_unit == "side" else 1.0
        return (np.array(points) * unit).astype(np.float32)

    @property
    def longest_suggested(self) -> int:
        """The length of the longest watchlist for which there is a suggestion; 0 where there is none."""
        return max((each.watchlist for each in self.suggested_thresholds), default=0)

    def suggestion(self, references: int) -> SuggestedThreshold | None:
        """The one for a watchlist of so many reference images; None for a watchlist longer than any suggestion's."""
        return next((each for each in self.suggested_thresholds if each.watchlist >= references), None)

    @field_validator("suggested_thresholds")
    @classmethod
    def _longer_watchlists_ask_for_more(cls, given: tuple[SuggestedThreshold, ...]) -> tuple[SuggestedThreshold, ...]:
        for shorter, longer in pairwise(given):
            if longer.watchlist <= shorter.watchlist or longer.threshold < shorter.threshold:
                raise ValueError("suggested_thresholds must be in the order of the watchlists, none lower than before")
        return given

    @field_validator("template", mode="before")
    @classmethod
    def _template_is_known(cls, given: object) -> object:
        if given == "arcface" or (isinstance(given, list | tuple) and len(given) == 5):
            return given
        raise ValueError("template must be 'arcface' or five points [x, y]")

    @model_validator(mode="after")
    def _landmarks_lie_in_the_crop(self) -> EmbedTable:
        points = self.landmark_template
        if not ((points >= 0) & (points <= self.side_px)).all():
            raise ValueError(
                f"template must be five points inside the crop of {self.side_px} pixels; is template_unit right?"
            )
        return self


class ModelManifest(ConfigModel):
    """One network. ``name`` is the stem of its manifest's file name."""

    name: str
    task: Task
    head: Head
    file: str = Field(pattern=r"^[\w.+-]+\.onnx$", description="an .onnx file name, no path")
    about: str
    warning: str | None = None
    source: SourceTable
    licence: LicenceTable
    pixels: PixelsTable
    detect: DetectTable | None = None
    embed: EmbedTable | None = None

    @property
    def notice(self) -> str | None:
        """A line to show before the network is used: a restricted licence, a warning. None without either."""
        licence = None if self.licence.commercial_use else f"licence {self.licence.id}: not for commercial use"
        parts = [each for each in (licence, self.warning) if each]
        return f"{self.name}: {'; '.join(parts)}" if parts else None

    @property
    def detection(self) -> DetectTable:
        """The table [detect]. Raises ``ModelError`` for a network of another task."""
        if self.detect is None:
            raise self._of_another_task("detect")
        return self.detect

    @property
    def embedding(self) -> EmbedTable:
        """The table [embed]. Raises ``ModelError`` for a network of another task."""
        if self.embed is None:
            raise self._of_another_task("embed")
        return self.embed

    def _of_another_task(self, wanted: Task) -> ModelError:
        return ModelError(
            f"{self.name} is a network for {self.task!r}: name one for {wanted!r} (see `pylfr models list`)"
        )

    @model_validator(mode="after")
    def _parts_fit_the_task(self) -> ModelManifest:
        if (self.detect is not None, self.embed is not None) != (self.task == "detect", self.task == "embed"):
            raise ValueError(f"a network for {self.task!r} has a [{self.task}] table and no other")
        if (self.head == "template") != (self.task == "embed"):
            raise ValueError(f"head 'template' belongs to task 'embed', got head {self.head!r} for {self.task!r}")
        return self


def read_manifest(path: Path) -> ModelManifest:
    """The manifest in ``path``. Raises ``ModelError`` naming the file, the key and the expectation."""
    tables = read_tables(path, ModelError)
    return record_from({"name": path.stem, **tables}, ModelManifest, path=path, error_kind=ModelError)
