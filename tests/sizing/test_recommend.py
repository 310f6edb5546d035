"""What is recommended follows from the licence, the measured accuracy and the cameras asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pylfr.errors import ConfigError
from pylfr.models.measured import Measured, MeasuredPair, MeasuredSearch
from pylfr.models.store import ModelStore, Places
from pylfr.sizing.machine import Machine, this_machine
from pylfr.sizing.network_costs import Costs
from pylfr.sizing.recommend import Recommendation, Use, read_sized, recommend
from tests.models.manifests import DETECTOR, EMBEDDER, write

HASHES = {"slow": "a" * 64, "fast": "b" * 64, "forbidden": "c" * 64, "comparer": "d" * 64}
ANY = Use(commercial=True, watchlist=250, cameras=None, detect_hz=8.0, faces=2)
COSTS = Costs(
    decode_ms=1.0,
    detect_ms={"slow": 40.0, "fast": 5.0, "forbidden": 5.0},
    embed_ms={"comparer": 5.0},
    timed=frozenset({"slow", "fast", "comparer"}),
)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """Three detectors, one of them for research only, and one embedder; ``slow`` and the embedder are installed."""
    own = tmp_path / "own"
    for name, digest in HASHES.items():
        text = EMBEDDER if name == "comparer" else DETECTOR
        text = text.replace("finder.onnx", f"{name}.onnx").replace(
            "\n\n[licence]", f'\nsha256 = "{digest}"\n\n[licence]'
        )
        if name == "forbidden":
            text = text.replace('"MIT"\ncommercial_use = true', '"study-only"\ncommercial_use = false')
        write(own, name, text)
    for name in ("slow", "comparer"):
        (own / f"{name}.onnx").write_bytes(b"not looked into")
    return ModelStore(
        Places(catalogue=tmp_path / "none", own=own, cache=tmp_path / "cache", config=tmp_path / "config")
    )


def measured_pair(detector: str, tpir: float) -> MeasuredPair:
    return MeasuredPair(
        detector=detector,
        embedder="comparer",
        detector_sha256=HASHES[detector],
        embedder_sha256=HASHES["comparer"],
        verification=0.99,
        not_acquired=0,
        detect_ms=1.0,
        embed_ms=1.0,
        searches=(MeasuredSearch(watchlist=250, tpir=tpir, low=0.5, high=1.0, threshold=0.4),),
    )


MEASURED = Measured(
    material="photographs",
    machine="a machine",
    fpir=0.01,
    pairs=(measured_pair("slow", 0.95), measured_pair("fast", 0.9), measured_pair("forbidden", 0.99)),
)


@pytest.fixture
def machine() -> Machine:
    return replace(this_machine(), cores=2)


def taken(store: ModelStore, machine: Machine, use: Use) -> tuple[Recommendation, str | None]:
    found = recommend(MEASURED, store, use, COSTS, machine)
    return found, found.take.detector if found.take is not None else None


def test_the_most_accurate_pair_that_may_be_used_is_taken(store: ModelStore, machine: Machine) -> None:
    found, detector = taken(store, machine, ANY)
    assert detector == "slow"
    assert [(each.detector, each.why_not) for each in found.offers][-1] == ("forbidden", "not for commercial use")
    assert "MIT, finds 95.0% of the people on a watchlist of 250 at FPIR 1%" in found.answer


def test_research_may_take_what_forbids_commercial_use(store: ModelStore, machine: Machine) -> None:
    assert taken(store, machine, replace(ANY, commercial=False))[1] == "forbidden"


def test_more_cameras_than_the_best_pair_allows_take_a_faster_one(store: ModelStore, machine: Machine) -> None:
    found, detector = taken(store, machine, replace(ANY, cameras=9))
    cameras = {each.detector: each.capacity.cameras for each in found.offers}
    # 0.7 of two cores over 25 decoded frames and 8 analysed ones with two faces each.
    assert cameras == {"slow": 3, "fast": 9, "forbidden": 9}
    assert detector == "fast"
    assert next(each for each in found.offers if each.detector == "slow").why_not == "about 3 cameras, not 9"
    assert found.take is not None
    assert found.take.missing == ("fast",)


def test_where_nothing_fits_nothing_is_taken_and_the_nearest_is_named(store: ModelStore, machine: Machine) -> None:
    found, detector = taken(store, machine, replace(ANY, cameras=500))
    assert detector is None
    assert found.answer == "No measured pair of networks fits; fast and comparer: about 9 cameras, not 500."


def test_figures_of_another_file_of_the_same_name_are_not_used(store: ModelStore, machine: Machine) -> None:
    other = MEASURED.pairs[0].model_copy(update={"detector_sha256": "e" * 64})
    found = recommend(MEASURED.model_copy(update={"pairs": (other,)}), store, ANY, COSTS, machine)
    assert found.offers == ()
    assert found.not_measured == ("comparer", "fast", "forbidden", "slow")
    assert found.answer == "No measured pair of networks fits."


def test_what_pylfr_size_measured_counts_before_an_estimate(
    store: ModelStore, machine: Machine, tmp_path: Path
) -> None:
    path = tmp_path / "size.json"
    record = {
        "type": "sizing",
        "cameras": 5,
        "confirmed": True,
        "conditions": {"detector": "slow", "embedder": "comparer", "runtime": "onnx"},
        "machine": {"processor": machine.processor, "cores": 2},
    }
    path.write_text(json.dumps(record))
    found = recommend(MEASURED, store, ANY, COSTS, machine, [read_sized(path, machine)])
    assert {each.detector: (each.capacity.cameras, each.capacity.basis) for each in found.offers} == {
        "slow": (5, "sized"),
        "fast": (9, "measured"),
        "forbidden": (9, "scaled"),
    }
    path.write_text(json.dumps({**record, "machine": {"processor": "another", "cores": 64}}))
    with pytest.raises(ConfigError, match="got another, 64 cores: run `pylfr size` here"):
        read_sized(path, machine)
    path.write_text("{}")
    with pytest.raises(ConfigError, match="must be what `pylfr size --json` wrote"):
        read_sized(path, machine)


def test_every_figure_is_in_the_json(store: ModelStore, machine: Machine) -> None:
    record = json.loads(taken(store, machine, ANY)[0].as_json())
    assert record["take"]["detector"] == "slow"
    assert record["offers"][0]["search"] == {
        "watchlist": 250, "tpir": 0.95, "low": 0.5, "high": 1.0, "threshold": 0.4
    }  # fmt: skip
    assert record["offers"][0]["capacity"] == {"cameras": 3, "basis": "measured"}


def test_a_use_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="watchlist must be 1 or more, got 0"):
        replace(ANY, watchlist=0)
