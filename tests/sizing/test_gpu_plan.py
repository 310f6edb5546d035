"""A plan from measured rates names its weakest part, what it does not know, and never calls itself measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import measure
from benchmarks.gpu_results import Results
from benchmarks.measure import spread_of, this_machine, write_results
from pylfr.errors import ConfigError
from pylfr.sizing.gpu_plan import Demand, plan_for_gpu, read_gpu_rates

DEMAND = Demand(codec="h264", width=1920, height=1080, detect_hz=8.0, embed_hz=1.0, watchlist=10_000, dimension=512)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the benchmark's own writer writes."""
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    return tmp_path


def measured(device: str = "NVIDIA H200", *, copy: float = 4000.0) -> Results:
    """What the benchmark gathers, by its own methods."""
    results = Results(device=device, copy_gigabytes_a_second=copy)
    for network, width, height, batch, ms in (
        ("find", 640, 384, 1, 2.0),
        ("find", 640, 384, 32, 8.0),
        ("find", 1280, 736, 32, 3.2),
        ("compare", 112, 112, 64, 10.0),
    ):
        results.add_network(
            network, width=width, height=height, batch=batch, ms=spread_of([ms]), random_weights=network == "find"
        )
    return results


def written(results: Results) -> Path:
    return write_results("gpu", this_machine(), results)


def test_the_weakest_part_binds(folder: Path) -> None:
    path = written(measured())
    assert path == folder / "gpu.json"
    rates = read_gpu_rates(path)
    assert rates.images_a_second == {"find": 4000.0, "compare": 6400.0}
    plan = plan_for_gpu(rates, DEMAND, detector="find", embedder="compare")
    assert plan.by_part["decode"] == pytest.approx(7 * 771 / 25, abs=0.1)
    assert plan.by_part["detect"] == 500
    assert plan.by_part["embed"] == 6400
    # By the copy's bandwidth alone: no search was measured.
    assert plan.by_part["search"] == pytest.approx(4000e9 / 2 / (10_000 * 512 * 4), abs=0.1)
    assert (plan.binds, plan.cameras, plan.missing) == ("decode", 215, ())
    assert plan.answer.startswith("Planned, not measured")


@pytest.mark.usefixtures("folder")
def test_a_search_counts_as_measured_over_as_many_references_or_more_and_a_peer_does_not() -> None:
    results = measured(copy=0.0)
    for index, references, probes, ms in (
        ("device-float32", 1_000, 64, 0.5),
        ("device-float32", 100_000, 64, 64.0),
        ("device-int8", 100_000, 64, 32.0),
        ("device-int8", 1_000_000, 64, 320.0),
        ("FAISS GPU flat float16", 100_000, 64, 1.0),
    ):
        results.add_search(index, references=references, dimension=512, probes=probes, ms=spread_of([ms]))
    rates = read_gpu_rates(written(results))
    plan = plan_for_gpu(rates, DEMAND, detector="find", embedder="compare")
    assert plan.by_part["search"] == 2000
    few = Demand(codec="h264", width=640, height=480, detect_hz=1, embed_hz=2.0, watchlist=1_000, dimension=512)
    assert plan_for_gpu(rates, few, detector="find", embedder="compare").by_part["search"] == 64_000
    many = Demand(codec="h264", width=640, height=480, detect_hz=1, embed_hz=1.0, watchlist=2_000_000, dimension=512)
    beyond = plan_for_gpu(rates, many, detector="find", embedder="compare")
    assert "search" not in beyond.by_part
    assert beyond.missing == ("search: the results hold none of 2,000,000 references, and no copy bandwidth",)


@pytest.mark.usefixtures("folder")
def test_decoding_that_was_measured_there_counts_and_not_what_is_published() -> None:
    results = measured()
    for decoder, codec, streams, turns in (
        ("nvdec", "h264", 1, [700.0]),
        ("nvdec", "h264", 32, [2900.0, 3000.0, 9000.0]),
        ("cpu", "h264", 32, [99_999.0]),
        ("nvdec", "hevc", 32, [5000.0]),
    ):
        results.add_decoding(decoder, codec=codec, width=1920, height=1080, streams=streams, rates=turns)
    results.add_decoding("nvdec", codec="h264", width=1920, height=1080, streams=32, rates=[20_000.0], processes=4)
    rates = read_gpu_rates(written(results))
    assert plan_for_gpu(rates, DEMAND, detector="find", embedder="compare").by_part["decode"] == 120
    halved = replace(DEMAND, codec="hevc", width=960)
    assert plan_for_gpu(rates, halved, detector="find", embedder="compare").by_part["decode"] == 400


@pytest.mark.usefixtures("folder")
def test_what_is_not_known_is_named_and_not_guessed() -> None:
    rates = read_gpu_rates(written(measured("Something New", copy=0.0)))
    plan = plan_for_gpu(rates, DEMAND, detector="other", embedder="unheard-of")
    assert plan.cameras is None
    assert "Nothing can be planned" in plan.answer
    assert [reason.split(":")[0] for reason in plan.missing] == ["decode", "detect", "embed", "search"]
    assert plan.missing[1] == "detect: the results hold no rate of other; they hold compare, find"


@pytest.mark.usefixtures("folder")
def test_results_of_nothing_at_all_plan_nothing() -> None:
    rates = read_gpu_rates(written(Results(device="cpu")))
    assert plan_for_gpu(rates, DEMAND, detector="find", embedder="compare").cameras is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"results": {"rates": [{}]}}', '{"results": 3}'])
def test_another_file_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"other\.json must be what"):
        read_gpu_rates(path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_gpu_rates(tmp_path / "none.json")
