"""The answer comes first and is true: how many cameras, confirmed or not, what binds, and what disturbed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pylfr.deployment.sections.recognition import BatchSection, RecognitionSection
from pylfr.errors import MediaError
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.sizing import capacity
from pylfr.sizing.capacity import size_machine
from pylfr.sizing.load import Setting
from pylfr.sizing.measured_load import Load
from pylfr.sizing.report import as_json, sizing_plot
from pylfr.sizing.result import Sizing, SizingRules
from pylfr.sizing.synthetic import synthetic_watchlist
from tests.sizing.loads import CONDITIONS, load_of


@pytest.fixture(scope="module")
def setting() -> Setting:
    embedder = open_embedder("pylfr_nano_embed", threads=1)
    return Setting(
        video=Path("nowhere.mp4"),
        detector=open_detector("pylfr_nano_detect", threads=1),
        embedder=embedder,
        gallery=synthetic_watchlist(10, embedder),
        recognition=RecognitionSection(),
        batch=BatchSection(),
    )


def size_with(
    monkeypatch: pytest.MonkeyPatch, setting: Setting, *, most: int, limit: int = 200, interrupt_at: int = 0,
    short_most: int | None = None, only: int | None = None,
) -> Sizing:  # fmt: skip
    """Size a machine that holds ``most``, and ``short_most`` for a short time; Ctrl-C comes at that trial."""
    trials = 0

    def fake(_: Setting, cameras: int, *, seconds: float, **given: object) -> Load:
        nonlocal trials
        trials += 1
        if trials == interrupt_at:
            raise KeyboardInterrupt
        return load_of(cameras, most=most if seconds > 10 or short_most is None else short_most, seconds=seconds)

    monkeypatch.setattr(capacity, "run_load", fake)
    monkeypatch.setattr(capacity, "decode_floor", lambda _: 4.0)
    return size_machine(setting, CONDITIONS, SizingRules(limit=limit, only=only))


def test_the_answer_names_the_number_and_what_binds(monkeypatch: pytest.MonkeyPatch, setting: Setting) -> None:
    sizing = size_with(monkeypatch, setting, most=11)
    assert sizing.answer.startswith("This machine holds 11 cameras; decode binds (50% of its processor time")
    assert sizing.confirmed
    assert sizing.load.seconds == 60
    assert [each.load.cameras for each in sizing.trials if each.is_full_length] == [11]
    assert sum(sizing.shares.values()) == pytest.approx(1)
    assert sizing.memory_mb_a_camera == 40


def test_a_machine_that_is_too_slow_is_told_so_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, setting: Setting
) -> None:
    sizing = size_with(monkeypatch, setting, most=0)
    assert sizing.cameras == 0
    assert sizing.answer.startswith("This machine holds no camera: with 1, dropped 7 (superseded); decode binds")
    assert len(sizing.trials) == 1


def test_what_held_only_briefly_is_not_promised(monkeypatch: pytest.MonkeyPatch, setting: Setting) -> None:
    sizing = size_with(monkeypatch, setting, most=1, short_most=40)
    assert not sizing.confirmed
    assert "may hold" in sizing.answer
    assert "not confirmed" in sizing.answer


def test_a_machine_that_failed_at_full_length_only_gives_that_reason(
    monkeypatch: pytest.MonkeyPatch, setting: Setting
) -> None:
    sizing = size_with(monkeypatch, setting, most=0, short_most=1)
    assert sizing.answer.startswith("This machine holds no camera: with 1, dropped 7 (superseded)")


def test_ctrl_c_gives_what_is_known_so_far(monkeypatch: pytest.MonkeyPatch, setting: Setting) -> None:
    sizing = size_with(monkeypatch, setting, most=11, interrupt_at=5)
    assert sizing.interrupted
    assert not sizing.confirmed
    assert sizing.answer.startswith("Stopped halfway: in short trials this machine held 9 cameras, not 12;")


def test_ctrl_c_before_anything_is_known_is_passed_on(monkeypatch: pytest.MonkeyPatch, setting: Setting) -> None:
    with pytest.raises(KeyboardInterrupt):
        size_with(monkeypatch, setting, most=11, interrupt_at=1)


def test_a_limit_that_was_reached_is_said(monkeypatch: pytest.MonkeyPatch, setting: Setting) -> None:
    sizing = size_with(monkeypatch, setting, most=50, limit=4)
    assert "holds 4 cameras or more" in sizing.answer
    assert any("--limit" in note for note in sizing.notes)


def test_one_number_of_cameras_alone_is_held_or_is_not(monkeypatch: pytest.MonkeyPatch, setting: Setting) -> None:
    held = size_with(monkeypatch, setting, most=11, only=8)
    assert held.answer.startswith("This machine holds 8 cameras or more;")
    assert [each.load.cameras for each in held.trials] == [8]
    too_much = size_with(monkeypatch, setting, most=11, only=14)
    assert too_much.answer.startswith("This machine does not hold 14: p99 latency 900 ms")
    assert (too_much.cameras, len(too_much.trials)) == (0, 1)


def test_a_video_that_cannot_be_read_is_named(setting: Setting) -> None:
    with pytest.raises(MediaError, match=r"nowhere\.mp4"):
        size_machine(setting, CONDITIONS, SizingRules())


def test_the_json_holds_everything_and_the_figure_is_a_picture(
    monkeypatch: pytest.MonkeyPatch, setting: Setting, tmp_path: Path
) -> None:
    sizing = size_with(monkeypatch, setting, most=5)
    record = json.loads(as_json(sizing))
    assert record["cameras"] == 5
    assert record["machine"]["versions"]["pylfr"]
    assert record["conditions"]["watchlist"] == 10_000
    pytest.importorskip("matplotlib")
    assert sizing_plot(sizing).startswith(b"\x89PNG")


def test_a_synthetic_watchlist_is_of_unit_length_and_may_hold_real_people(setting: Setting) -> None:
    person = np.zeros((1, setting.embedder.dimension), np.float32)
    person[0, 0] = 1
    gallery = synthetic_watchlist(50, setting.embedder, enrolled=person).snapshot()
    from pylfr.types import Templates

    found = gallery.search(Templates(vectors=person, model=gallery.model), 3)
    assert found.entry[0, 0] == 49
    assert found.scores[0, 0] == pytest.approx(1)
    assert found.scores[0, 1] < 0.5
    assert gallery.reference(3).name == "synthetic"
    with pytest.raises(KeyError):
        gallery.reference(50)
    with pytest.raises(ValueError, match="1 entry or more"):
        synthetic_watchlist(0, setting.embedder)
