"""Which pair of networks to take: what may be used, how accurate it is, and how many cameras it allows here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pylfr._internal.regular_file import read_file
from pylfr._internal.strict_json import parse_json
from pylfr.errors import ConfigError
from pylfr.models.manifest import ModelManifest
from pylfr.models.measured import Measured, MeasuredPair, MeasuredSearch
from pylfr.models.store import ModelStore
from pylfr.sizing.machine import Machine
from pylfr.sizing.measured_load import RATE
from pylfr.sizing.network_costs import Costs

# A machine that decodes, detects and embeds for more than this share of its time has none left for the rest.
_USABLE = 0.7

_LICENCE = "not for commercial use"

Basis = Literal["sized", "measured", "scaled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What the networks are for. ``faces`` are in every analysed frame; ``cameras`` None: as many as go."""

    commercial: bool
    watchlist: int
    cameras: int | None
    detect_hz: float
    faces: int

    def __post_init__(self) -> None:
        for name, least in (("watchlist", 1), ("cameras", 1), ("faces", 0), ("detect_hz", 0.1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name} must be {least} or more, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Cameras that a pair allows on this machine.

    ``sized``: ``pylfr size`` ran them. ``measured``: from the processor time of decoding and both networks. ``scaled``:
    the same, where a network is not installed and its time follows from another's.
    """

    cameras: int
    basis: Basis


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A pair that was measured. ``why_not`` says what speaks against it for this use, "" where nothing does.

    ``suggested`` is the threshold from which its embedder suggests alerts with such a watchlist, None without one; that
    of ``search`` is for single photographs.
    """

    detector: str
    embedder: str
    licences: tuple[str, ...]
    commercial_use: bool
    missing: tuple[str, ...]
    search: MeasuredSearch
    suggested: float | None
    verification: float
    capacity: Capacity
    why_not: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The pair to take (None where none fits), every offer in order of preference, and what to know of them."""

    take: Offer | None
    offers: tuple[Offer, ...]
    use: Use
    material: str
    fpir: float
    not_measured: tuple[str, ...]
    machine: Machine

    @property
    def answer(self) -> str:
        """The recommendation in one sentence."""
        if self.take is None:
            near = max(self.offers, key=lambda each: (not _is_refused(each), each.capacity.cameras), default=None)
            but = f"; {near.detector} and {near.embedder}: {near.why_not}" if near is not None else ""
            return f"No measured pair of networks fits{but}."
        cameras = self.take.capacity.cameras
        found = f"finds {self.take.search.tpir:.1%} of the people on a watchlist of {self.take.search.watchlist}"
        return (
            f"Take {self.take.detector} and {self.take.embedder}: {' and '.join(self.take.licences)}, {found} at FPIR "
            f"{self.fpir:.0%}, about {cameras} camera{'' if cameras == 1 else 's'} on this machine."
        )

    def as_json(self) -> str:
        """Every figure."""
        record = {"type": "recommendation", "answer": self.answer, **asdict(self)}
        return json.dumps(record, indent=1, default=_plain) + "\n"


class _SizedConditions(BaseModel):
    model_config = ConfigDict(extra="ignore")
    detector: str
    embedder: str


class _SizedMachine(BaseModel):
    model_config = ConfigDict(extra="ignore")
    processor: str
    cores: int


class Sized(BaseModel):
    """What ``pylfr size --json`` wrote, as far as it is needed here."""

    model_config = ConfigDict(extra="ignore")
    type: Literal["sizing"]
    cameras: int
    confirmed: bool
    conditions: _SizedConditions
    machine: _SizedMachine


def read_sized(path: Path, machine: Machine) -> Sized:
    """A result of ``pylfr size`` on this machine. Raises ``ConfigError`` for another file, or another machine's."""
    try:
        sized = Sized.model_validate(parse_json(read_file(path)))
    except (OSError, ValueError) as error:  # ValidationError is one
        raise ConfigError(f"{path} must be what `pylfr size --json` wrote: {str(error).splitlines()[0]}") from error
    if (sized.machine.processor, sized.machine.cores) != (machine.processor, machine.cores):
        raise ConfigError(
            f"{path} must be of this machine ({machine.processor}, {machine.cores} cores), got "
            f"{sized.machine.processor}, {sized.machine.cores} cores: run `pylfr size` here"
        )
    return sized


def recommend(
    measured: Measured, store: ModelStore, use: Use, costs: Costs, machine: Machine, sized: Sequence[Sized] = ()
) -> Recommendation:
    """The most accurate pair that may be used and allows the cameras; every other one with what speaks against it."""
    known = set(store.names())
    offers = []
    for pair in measured.pairs:
        if {pair.detector, pair.embedder} <= known:
            detector, embedder = store.manifest(pair.detector), store.manifest(pair.embedder)
            if pair.is_of(detector, embedder):
                offers.append(_offer(pair, detector, embedder, store, use, _capacity(pair, use, costs, machine, sized)))
    offers.sort(key=lambda each: (bool(each.why_not), -each.search.tpir, -each.capacity.cameras))
    measured_names = {name for each in offers for name in (each.detector, each.embedder)}
    return Recommendation(
        take=offers[0] if offers and not offers[0].why_not else None,
        offers=tuple(offers),
        use=use,
        material=measured.material,
        fpir=measured.fpir,
        not_measured=tuple(sorted(known - measured_names)),
        machine=machine,
    )


def _offer(
    pair: MeasuredPair,
    detector: ModelManifest,
    embedder: ModelManifest,
    store: ModelStore,
    use: Use,
    capacity: Capacity,
) -> Offer:
    licences = (detector.licence, embedder.licence)
    suggestion = embedder.embedding.suggestion(use.watchlist)
    commercial_use = all(each.commercial_use for each in licences)
    why_not = ""
    if use.commercial and not commercial_use:
        why_not = _LICENCE
    elif use.cameras is not None and capacity.cameras < use.cameras:
        why_not = f"about {capacity.cameras} cameras, not {use.cameras}"
    return Offer(
        detector=pair.detector,
        embedder=pair.embedder,
        licences=tuple(dict.fromkeys(each.id for each in licences)),
        commercial_use=commercial_use,
        missing=tuple(name for name in (pair.detector, pair.embedder) if store.find(name) is None),
        search=pair.search(use.watchlist),
        suggested=suggestion.threshold if suggestion is not None else None,
        verification=pair.verification,
        capacity=capacity,
        why_not=why_not,
    )


def _is_refused(offer: Offer) -> bool:
    return offer.why_not == _LICENCE


def _capacity(pair: MeasuredPair, use: Use, costs: Costs, machine: Machine, sized: Sequence[Sized]) -> Capacity:
    for each in sized:
        if (each.conditions.detector, each.conditions.embedder) == (pair.detector, pair.embedder):
            return Capacity(cameras=each.cameras, basis="sized")
    detect_ms, embed_ms = costs.detect_ms[pair.detector], costs.embed_ms[pair.embedder]
    a_camera_ms = RATE * costs.decode_ms + use.detect_hz * (detect_ms + use.faces * embed_ms)
    return Capacity(
        cameras=int(_USABLE * 1000 * machine.cores / a_camera_ms),
        basis="measured" if {pair.detector, pair.embedder} <= costs.timed else "scaled",
    )


def _plain(value: object) -> object:
    return value.model_dump() if isinstance(value, BaseModel) else str(value)
