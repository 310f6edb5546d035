"""The list that all engines search: for how long the last revision counts where the newest cannot be had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pylfr.cluster.shared_watchlist import SharedWatchlist
from pylfr.deployment.resources import Resources, open_resources
from pylfr.errors import WatchlistError
from pylfr.governance.audit.audit import read_audit
from tests.cluster.table import seal_again

GRACE_S = 60.0


class Stage:
    """A deployment's list, on a clock that the test sets."""

    def __init__(self, folder: Path, resources: Resources) -> None:
        self.folder = folder
        self.now_s = 1000.0
        self.list = SharedWatchlist(resources, authorised=None, clock_s=lambda: self.now_s)

    def kinds(self) -> list[str]:
        return [each.kind for each in read_audit(self.folder / "audit.log").entries]


@pytest.fixture
def stage(folder: Path) -> Iterator[Stage]:
    with open_resources(folder / "deployment.toml") as resources:
        yield Stage(folder, resources)


@pytest.mark.parametrize("is_gone", [True, False])
def test_the_last_revision_counts_for_a_time_and_no_longer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, is_gone: bool
) -> None:
    first = stage.list.now()
    if is_gone:
        (stage.folder / "sealed").rename(stage.folder / "elsewhere")
    else:
        seal_again(stage.folder, step=1)
        monkeypatch.setattr(Path, "read_bytes", refused)
    stage.now_s += 5.0
    assert stage.list.now() == first
    stage.now_s += GRACE_S - 1.0
    assert stage.list.now() == first
    assert stage.kinds() == ["watchlist-unreachable"]
    stage.now_s += 2.0
    with pytest.raises(WatchlistError, match="it has been so for 60 s"):
        stage.list.now()


def test_a_list_that_is_back_in_time_is_followed_again(stage: Stage) -> None:
    first = stage.list.now()
    (stage.folder / "sealed").unlink()
    assert stage.list.now() == first
    stage.now_s += GRACE_S - 1.0
    seal_again(stage.folder, step=1)
    assert stage.list.now().revision == first.revision + 1
    (stage.folder / "sealed").unlink()
    stage.now_s += GRACE_S - 1.0
    assert stage.list.now().revision == first.revision + 1
    assert stage.kinds() == ["watchlist-unreachable", "watchlist-recovered", "watchlist-unreachable"]


def test_a_list_that_is_not_there_when_a_run_begins_is_not_waited_for(stage: Stage) -> None:
    (stage.folder / "sealed").unlink()
    with pytest.raises(WatchlistError, match="is gone"):
        stage.list.now()


def refused(path: Path) -> bytes:
    raise PermissionError(13, "Permission denied", str(path))
