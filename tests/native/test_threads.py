"""What threads may share they share without harm; ThreadSanitizer watches these in ``make sanitize``."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from pylfr import ops
from tests.devices import on_device, on_host
from tests.native.pictures import noise

MEAN, SCALE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def at_once(*works: Callable[[], object]) -> list[BaseException]:
    """Run each in a thread of its own, all at the same time; what they raised."""
    ready, raised = threading.Barrier(len(works)), list[BaseException]()

    def one(work: Callable[[], object]) -> None:
        ready.wait()
        try:
            work()
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=one, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_an_index_is_searched_by_four_threads_with_the_answers_of_one() -> None:
    draw = np.random.default_rng(0)
    rows, probes = (draw.normal(size=(count, 32)).astype(np.float32) for count in (200, 5))
    index = ops.SearchIndex(200, 32, "int8", ops.Stream("cpu"))
    index.fill(rows, 0)
    home = ops.Stream("cpu")
    expected, found = on_host(index.search(on_device(probes, home), 8, home), home), list[bytes]()

    def search() -> None:
        stream = ops.Stream("cpu")
        for _ in range(5):
            found.append(on_host(index.search(on_device(probes, stream), 8, stream), stream).tobytes())

    assert at_once(*[search] * 4) == []
    assert found == [expected.tobytes()] * 20


def test_a_tracker_is_updated_ended_and_asked_by_threads_at_once() -> None:
    tracker = ops.Tracker(0.6, 0.3, 0.2, 1000, 50)
    box, looks = np.array([[10, 10, 50, 60]], np.float32), np.zeros((1, 3), np.float32)

    def update(camera: int) -> None:
        for time in range(100):
            frame = np.array([camera], np.int32), np.array([time * 40], np.int64), np.zeros(1, np.uint8)
            tracker.update(*frame, np.zeros(1, np.int32), box, np.ones(1, np.float32), looks)

    def ask() -> None:
        for _ in range(100):
            tracker.ended()
            assert 0 <= tracker.alive <= 3
            tracker.finish(2)

    assert at_once(lambda: update(0), lambda: update(1), lambda: update(2), ask) == []
    tracker.finish(0)
    tracker.finish(1)
    tracker.finish(2)
    assert tracker.alive == 0


def test_tensors_come_and_go_in_threads_and_the_pool_loses_no_byte() -> None:
    before = ops.memory_counts("cpu").lent_bytes

    def work(side: int) -> None:
        stream = ops.Stream("cpu")
        for turn in range(50):
            tensor = on_device(np.full((side, 64), turn, np.float32), stream)
            assert (on_host(tensor, stream) == turn).all()
            del tensor
            if turn % 10 == 0:
                ops.release_memory("cpu")

    assert at_once(*(lambda side=side: work(side) for side in (1, 8, 8, 64))) == []
    assert ops.memory_counts("cpu").lent_bytes == before


def test_pictures_are_read_by_threads_at_once_while_others_are_packed() -> None:
    home = ops.Stream("cpu")
    pictures = ops.upload([noise("nv12", 1280, 720)], ops.Staging(home, threads=2))
    seen = list[bytes]()

    def read() -> None:
        out = ops.Tensor((1, 3, 48, 64), "float32", ops.Stream("cpu"))
        for _ in range(5):
            pictures.letterbox(out, bgr=False, mean=MEAN, scale=SCALE)
            seen.append(on_host(out, home).tobytes())

    def pack() -> None:
        staging = ops.Staging(ops.Stream("cpu"), threads=3)
        for seed in range(5):
            ops.upload([noise("nv12", 1280, 720, seed=seed)], staging)

    assert at_once(read, read, pack) == []
    assert len(seen) == 10
    assert len(set(seen)) == 1


def test_one_staging_buffer_in_four_hands_serves_or_refuses_and_never_mixes() -> None:
    staging = ops.Staging(ops.Stream("cpu"), threads=2)
    served = list[int]()

    def send(value: int) -> None:
        for _ in range(30):
            sent = staging.send(np.full(1 << 16, value, np.uint8))
            whole = np.empty(1 << 16, np.uint8)
            sent.copy_to(whole, staging.stream)
            assert (whole == value).all()
            served.append(value)

    raised = at_once(*(lambda value=value: send(value) for value in range(4)))
    assert {str(error) for error in raised} <= {"a staging buffer is used by two threads at once: give each its own"}
    assert {type(error) for error in raised} <= {RuntimeError}
    assert served


def test_a_pool_of_templates_is_wiped_while_another_is_read() -> None:
    pools = [ops.TemplatePool(16, 128) for _ in range(3)]

    def work(pool: ops.TemplatePool) -> None:
        for value in range(1, 50):
            pool.array[...] = value
            ops.normalise(pool.array)
            pool.wipe()
            assert not pool.array.any()

    assert at_once(*(lambda pool=pool: work(pool) for pool in pools)) == []


@pytest.mark.parametrize("threads", [2, 8])
def test_packers_share_jobs_of_every_size(threads: int) -> None:
    home = ops.Stream("cpu")
    staging = ops.Staging(home, threads=threads)
    for width, height in ((8, 8), (4000, 600), (64, 9), (1921, 1081)):
        frame = noise("rgb", width, height, padding=5)
        out = ops.Tensor((1, 3, 32, 32), "float32", home)
        ops.upload([frame], staging).letterbox(out, bgr=False, mean=MEAN, scale=SCALE)
        expected, _ = ops.letterbox([frame], width=32, height=32, bgr=False, mean=MEAN, scale=SCALE)
        assert on_host(out, home).tobytes() == expected.tobytes()
