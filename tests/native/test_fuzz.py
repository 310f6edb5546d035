"""Every function of the core returns or refuses, whatever it is handed; ``make sanitize`` watches its memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pylfr import _core  # noqa: TID251 - what is attacked is the core itself
from tests.native.damaged_calls import CALLS
from tests.native.fuzz import call


def test_every_function_returns_or_refuses_in_words_whatever_it_is_handed() -> None:
    endings = Counter(call(seed, number) for seed in range(3) for number in range(60 * len(CALLS)))
    for name in CALLS:
        assert endings[f"{name} returned"] > 0, name
        assert endings[f"{name} refused"] > 0, name


def test_every_function_and_class_of_the_core_is_among_them() -> None:
    written = Path(__file__).with_name("damaged_calls.py").read_text()
    facts = {
        *("built_with_cuda", "cuda_device_count", "cuda_launches", "simd_level", "release_memory"),
        *("ffmpeg_listener", "take_redirect", "waiting_clock"),
        # It takes addresses, of which nobody can tell a wrong one from a right one: test_undue_reader.py has its tests.
        "UndueReader",
    }
    results = {"Event", "MemoryCounts", "Pictures"}
    made = {name for name in dir(_core) if not name.startswith("_") and callable(getattr(_core, name))}
    assert [name for name in sorted(made - facts - results) if f"_core.{name}(" not in written] == []
