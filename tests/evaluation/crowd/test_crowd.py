"""The crowd on video: what the truth says is what the picture shows, and the same seed makes the same crowd."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import av
import numpy as np
import pytest

from pylfr.evaluation.crowd.crowd import plan_crowd, render_crowd
from pylfr.evaluation.crowd.painting import turn_head
from pylfr.evaluation.crowd.planning import CrowdRules, Difficulties
from pylfr.evaluation.crowd.source import CrowdSource
from pylfr.evaluation.crowd.walk import HEIGHT, WIDTH, Head, Walker, cut_head
from pylfr.evaluation.video.passes import read_truth
from pylfr.video.open import open_file

SHORT = CrowdRules(lanes=2, walk_s=(0.4, 0.6), pause_s=(0.0, 0.1))


def _walker(subject: str, colour: tuple[int, int, int], *, mated: bool = False) -> Walker:
    head = Head(picture=np.full((64, 64, 3), colour, np.uint8), box=(0.25, 0.25, 0.75, 0.75))
    return Walker(subject=subject, is_mated=mated, heads=(head,))


def test_faces_stand_where_the_truth_says_and_grow(tmp_path: Path) -> None:
    truth = render_crowd([_walker("Ada", (255, 0, 0), mated=True)], tmp_path, camera="gate", seed=3, rules=SHORT)
    (walk,) = truth
    with av.open(str(tmp_path / "gate.mp4")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (WIDTH, HEIGHT)
        assert container.streams.video[0].average_rate == 25
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    sizes = []
    for at_s, x1, y1, x2, y2 in walk.path:
        # The lower half may be covered; between the eyes it is the face's own colour.
        x, y = round((x1 + x2) / 2), round(y1 + 0.25 * (y2 - y1))
        red, green, blue = frames[round(at_s * 25)][y, x].astype(int)
        assert red > green + 60
        assert red > blue + 60
        sizes.append(x2 - x1)
    assert sizes == sorted(sizes)
    assert 18 <= sizes[0] <= 40
    assert 85 <= sizes[-1] <= 205


def test_the_truth_on_disk_is_the_truth(tmp_path: Path) -> None:
    walkers = [_walker(name, (200, 180, 160), mated=name == "A") for name in "ABCDE"]
    truth = render_crowd(walkers, tmp_path, camera="gate", rules=SHORT)
    assert read_truth(tmp_path / "gate.json", ["gate"]) == truth
    assert [each.subject for each in truth if each.is_mated] == ["A"]
    assert len(truth) == 5


def test_the_same_seed_makes_the_same_crowd(tmp_path: Path) -> None:
    walkers = [_walker(name, (200, 180, 160)) for name in "ABC"]
    one, other, third = (
        render_crowd(walkers, tmp_path, camera=name, seed=seed, rules=SHORT)
        for name, seed in (("one", 1), ("other", 1), ("third", 2))
    )
    assert [each.path for each in one] == [each.path for each in other]
    assert [each.path for each in one] != [each.path for each in third]
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "other.mp4").read_bytes()


def test_a_crowd_straight_into_the_engine_is_the_crowd_on_disk(tmp_path: Path) -> None:
    walkers = [_walker(name, (200, 180, 160), mated=name == "A") for name in "AB"]
    truth = render_crowd(walkers, tmp_path, camera="gate", seed=4, rules=SHORT)
    scene = plan_crowd(walkers, seed=4, rules=SHORT)
    began = datetime(2026, 1, 1, tzinfo=UTC)
    source = CrowdSource(scene, camera="gate", started_at=began)
    assert scene.truth("gate") == truth
    painted = list(source.frames())
    recorded = list(open_file(tmp_path / "gate.mp4", camera="gate", started_at=began).frames())
    assert len(painted) == len(recorded) == len(scene)
    for one, other in zip(painted, recorded, strict=True):
        assert (one.sequence, one.captured_at, one.matrix) == (other.sequence, other.captured_at, other.matrix)
        assert all(np.array_equal(a, b) for a, b in zip(one.planes, other.planes, strict=True))
    assert not source.is_live
    source.close()
    assert list(source.frames()) == []


def test_a_head_is_cut_around_its_face_also_at_the_edge() -> None:
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[10:30, 0:20] = 255
    head = cut_head(picture, np.array([0, 10, 20, 30], np.float32), side_px=76)
    x1, y1, x2, y2 = (round(each * 76) for each in head.box)
    assert (x2 - x1, y2 - y1) == (40, 40)
    assert head.picture[y1 + 4 : y2 - 4, x1 + 4 : x2 - 4].min() > 240


def test_nobody_and_a_walker_without_a_head_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs walkers"):
        render_crowd([], tmp_path, camera="gate")
    with pytest.raises(ValueError, match="a head to show"):
        render_crowd([Walker(subject="A", is_mated=False, heads=())], tmp_path, camera="gate")


HARSH = CrowdRules(
    lanes=2,
    walk_s=(1.5, 2.0),
    pause_s=(0.0, 0.1),
    difficulties=Difficulties(
        turning=0.5, averted=0.5, following=0.5, crossing=0.5, hidden=0.5, distant=0.3, brief=0.2, shot_s=(1.0, 1.5)
    ),
)


def test_without_difficulties_a_crowd_walks_as_it_would_without_the_rules() -> None:
    walkers = [_walker(name, (200, 180, 160)) for name in "ABCD"]
    plain = plan_crowd(walkers, seed=5, rules=SHORT)
    spelled = plan_crowd(walkers, seed=5, rules=replace(SHORT, difficulties=Difficulties()))
    assert plain.truth("gate") == spelled.truth("gate")
    assert plain.plan.cuts == ()


def test_everybody_walks_once_however_hard_the_crowd() -> None:
    walkers = [_walker(f"P{number}", (200, 180, 160)) for number in range(60)]
    scene = plan_crowd(walkers, seed=2, rules=HARSH)
    assert sorted(walk.walker.subject for walk in scene.plan.walks) == sorted(each.subject for each in walkers)
    assert all(walk.leaves > walk.enters for walk in scene.plan.walks)
    assert len(scene.streets) == len(scene.plan.cuts) + 1


def test_nobody_is_in_view_on_both_sides_of_a_cut_and_somebody_else_takes_the_place() -> None:
    walkers = [_walker(f"P{number}", (200, 180, 160)) for number in range(60)]
    plan = plan_crowd(walkers, seed=2, rules=HARSH).plan
    assert len(plan.cuts) > 5
    taken = 0
    for cut in plan.cuts:
        assert not any(walk.enters < cut < walk.leaves for walk in plan.walks)
        before = [walk.face(cut - 1) for walk in plan.walks if walk.leaves == cut]
        after = [walk.face(cut) for walk in plan.walks if walk.enters == cut]
        taken += sum(np.allclose(one, other, atol=8) for one in before for other in after)
    assert taken > 5


def test_the_truth_leaves_out_frames_in_which_a_face_is_hidden() -> None:
    walkers = [_walker(f"P{number}", (200, 180, 160)) for number in range(40)]
    scene = plan_crowd(walkers, seed=2, rules=HARSH)
    hidden = 0
    for walk, each in zip(scene.plan.walks, scene.truth("gate"), strict=True):
        frames = {round(at_s * 25) for at_s, *_ in each.path}
        missing = set(range(walk.enters, walk.leaves)) - frames
        assert all(walk.is_hidden(number) for number in missing)
        assert all(scene.visibility(walk, number) == 0 for number in missing)
        hidden += len(missing)
    assert hidden > 20


def test_a_turned_head_shows_one_side_and_keeps_its_outline() -> None:
    pixels = np.zeros((100, 100, 4), np.float32)
    pixels[:, :, 3] = 255
    pixels[:, 50:, :3] = 200
    left, right = turn_head(pixels, -50), turn_head(pixels, 50)
    middle = slice(15, 85)
    assert (left[50, middle, 0] > 100).mean() > 0.8
    assert (right[50, middle, 0] > 100).mean() < 0.2
    assert np.array_equal(turn_head(pixels, 0)[:, 20:80], pixels[:, 20:80])
    assert np.array_equal(left[:, :, 3], right[:, :, 3])
