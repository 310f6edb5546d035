"""Several first starts at once, on nothing but a deployment file: each makes what is missing, or uses what is made."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from datetime import timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from pylfr.deployment.config import read_deployment
from pylfr.deployment.resources import Resources
from pylfr.deployment.sections.sinks import EvidenceSection
from pylfr.governance.keys.keys import make_key
from pylfr.types import Event
from tests.deployment_text import RECORDS, SEALED_EVIDENCE, SIGNED_LOG, deployment_text, permit_text
from tests.governance.samples import NOON
from tests.postgres import Postgres

PROCESSES = 4


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


def start(path: Path, barrier: Barrier, said: multiprocessing.SimpleQueue[str]) -> None:
    """What a start opens and makes."""
    try:
        barrier.wait(60)
        with Resources(read_deployment(path), now=NOON) as resources:
            resources.audit.note(Event(kind="started", details={}))
            resources.require_records()
            [sink] = [each for each in resources.deployment.sinks if isinstance(each, EvidenceSection)]
            key = resources.evidence_key(sink, expires_at=NOON + timedelta(days=1))
            assert key is not None
            said.put(bytes(key.secret.view).hex())
    except BaseException as error:
        said.put(f"{type(error).__name__}: {error}")
        raise


@pytest.mark.parametrize("_turn", range(3))
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_first_starts_at_once_all_work_and_share_one_key_one_log_and_one_form_of_records(
    database: str, _turn: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    make_key(tmp_path / "record.key")
    records = RECORDS
    if database == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        records = f'[records]\nurl = "{server.new_url()}"\n'
    path = tmp_path / "deployment.toml"
    path.write_text(deployment_text(permit_text(), SIGNED_LOG, records, SEALED_EVIDENCE))
    # Neither a fork of this process, which has threads, nor an interpreter for each, which takes seconds.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.deployment.test_first_starts"])
    barrier, said = context.Barrier(PROCESSES), context.SimpleQueue()
    processes = [context.Process(target=start, args=(path, barrier, said)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    answers = [said.get() for _ in processes]
    for process in processes:
        process.join()
    assert len(set(answers)) == 1, answers
    assert len(answers[0]) == 64, answers
    with Resources(read_deployment(path), now=NOON) as resources:
        assert len(list(resources.audit.entries("started"))) == PROCESSES
