"""The head's process goes on where its disk is full, and ends what it has to end once there is room."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, cast

import pytest

from pylfr.cluster.head import ClusterHead
from pylfr.deployment.resources import Resources
from pylfr.errors import AuditError
from tests.cluster.stage import TOKEN, wait_for

if TYPE_CHECKING:
    from pylfr.cluster.actors import HeadActor


class FullDisk:
    """A head, and what it opened, that cannot write ``failures`` times."""

    def __init__(self, failures: int) -> None:
        self._failures = failures
        self.ticks = 0
        self.has_settled = False
        self.closed: list[str] = []

    def _write(self) -> None:
        if self._failures:
            self._failures -= 1
            raise AuditError("No space left on device")

    def tick(self) -> None:
        self.ticks += 1
        self._write()

    def stop(self, because: str) -> None:
        self._write()

    def close(self) -> None:
        self._write()
        self.closed.append("closed")


def actor(head: FullDisk, resources: FullDisk, monkeypatch: pytest.MonkeyPatch) -> HeadActor:
    # Ray is imported here, with the token that it reads once.
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    pytest.importorskip("ray", reason="Ray is not installed: pip install pylfr[cluster]")
    from pylfr.cluster.actors import HeadActor

    monkeypatch.setattr("pylfr.cluster.actors._LOOK_EVERY_S", 0.01)
    made = cast("Any", HeadActor.__new__(HeadActor))
    made._head, made._resources = cast("ClusterHead", head), cast("Resources", resources)
    made._over, made._closing, made._listening = threading.Event(), threading.Lock(), ExitStack()
    made._engines = {}
    made._start_engines = lambda: None
    return cast("HeadActor", made)


def test_a_head_that_cannot_write_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    head, resources = FullDisk(failures=4), FullDisk(failures=0)
    made = actor(head, resources, monkeypatch)
    watching = threading.Thread(target=made._watch)
    watching.start()
    wait_for(lambda: head.ticks > 4, "it looks again")
    head.has_settled = True
    watching.join(60)
    assert not watching.is_alive()
    assert (head.closed, resources.closed) == (["closed"], ["closed"])


def test_a_record_that_could_not_be_closed_is_closed_when_that_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    head, resources = FullDisk(failures=1), FullDisk(failures=0)
    made = actor(head, resources, monkeypatch)
    with pytest.raises(AuditError, match="No space left"):
        made.close()
    assert resources.closed == []
    made.close()
    made.close()
    assert (head.closed, resources.closed) == (["closed"], ["closed"])
