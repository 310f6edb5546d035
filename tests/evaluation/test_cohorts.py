"""Groups: tests against an independent implementation, honest words for small groups, labels from the user alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pylfr.errors import ConfigError
from pylfr.evaluation.cohorts import compare_groups, detectable_ratio, holm, holm_tests, read_groups
from pylfr.evaluation.statistics.distributions import fisher_exact
from tests.evaluation.crowds import people

multitest = pytest.importorskip("statsmodels.stats.multitest")
power = pytest.importorskip("statsmodels.stats.power")
proportion = pytest.importorskip("statsmodels.stats.proportion")


def test_fishers_test_gives_the_p_of_the_lady_tasting_tea() -> None:
    # Fisher, The Design of Experiments (1935): three of four cups right is 17/70 one-sided, 34/70 two-sided.
    assert fisher_exact(3, 4, 1, 4) == pytest.approx(34 / 70)


def test_holm_corrects_the_four_p_values_of_the_usual_example() -> None:
    # 0.01, 0.04, 0.03, 0.005: at 5 % the first and the last are rejected, 0.03 x 2 no longer is, nor is any above it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_agrees_with_statsmodels() -> None:
    p = [0.01, 0.04, 0.03, 0.005, 0.6]
    assert holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1].tolist())
    assert holm([]) == []


def test_the_detectable_ratio_is_one_that_statsmodels_gives_the_power_for() -> None:
    ratio = detectable_ratio(0.01, 2000, 2000)
    assert ratio is not None
    effect = proportion.proportion_effectsize(0.01 * ratio, 0.01)
    reached = power.NormalIndPower().solve_power(effect_size=effect, nobs1=2000, alpha=0.05)
    assert reached == pytest.approx(0.8, abs=0.05)


def test_a_detectable_ratio_is_none_where_nothing_could_be_seen() -> None:
    assert detectable_ratio(0.5, 3, 3) is None
    assert detectable_ratio(0.0, 100, 100) is None
    assert detectable_ratio(0.1, 0, 100) is None


def test_a_group_that_is_worse_is_shown_to_be() -> None:
    tests = holm_tests("fpir", {"a": (0, 2000), "b": (19, 2000), "c": (1, 2000)})
    by_pair = {each.groups: each for each in tests}
    assert by_pair["a", "b"].is_significant
    assert by_pair["b", "c"].is_significant
    assert not by_pair["a", "c"].is_significant


def test_a_group_of_three_carries_a_caution_and_no_nan() -> None:
    crowd = people(60)
    groups = {name: "few" if index < 3 else "many" for index, name in enumerate(crowd.names[:-4])}
    report = compare_groups(crowd, groups, threshold=0.5, watchlist_size=20)
    few = next(each for each in report.groups if each.group == "few")
    assert few.fpir.denominator == 3
    assert "3 people" in few.caution
    assert "too few to conclude" in few.caution
    assert report.unlabelled == 4
    assert report.ratios == (), "a ratio over three people would only mislead"
    json.dumps(report.as_json(), allow_nan=False)


def test_a_person_counts_once_however_many_pictures_there_are() -> None:
    crowd = people(50, pictures=6)
    report = compare_groups(crowd, {name: name[-1] for name in crowd.names}, threshold=-1.0, watchlist_size=10)
    assert sum(each.fpir.denominator for each in report.groups) == 50
    assert all(each.fpir.value == 1 for each in report.groups)


def test_groups_without_a_single_picture_to_search_have_no_rate_but_words() -> None:
    crowd = people(80, pictures=1)
    groups = {name: str(index % 2) for index, name in enumerate(crowd.names)}
    report = compare_groups(crowd, groups, threshold=0.2, watchlist_size=10)
    assert all(each.tpir.value is None for each in report.groups)
    assert {each.measure for each in report.ratios} == {"fpir"}
    assert report.ratios[0].low <= report.ratios[0].value <= report.ratios[0].high


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,group\nA,x\n", "columns person and group"),
        ("person,group\nA,x\nA,y\n", "line 3: A is in 'x' and in 'y'"),
        ("person,group\nA,\n", "line 2"),
        ("person,group\nA,x\nB,x\n", "at least two groups"),
    ],
)
def test_a_groups_file_that_does_not_fit_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "groups.csv"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_groups(file)


def test_groups_that_nobody_in_the_folder_belongs_to_are_refused() -> None:
    crowd = people(10)
    with pytest.raises(ConfigError, match="at least two groups must have people"):
        compare_groups(crowd, {"stranger": "x", "other": "y"}, threshold=0.5, watchlist_size=3)
    with pytest.raises(ConfigError, match="must leave somebody out"):
        compare_groups(crowd, {"P1": "x", "P2": "y"}, threshold=0.5, watchlist_size=10)
