"""What the descriptors of this process lead to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def open_files() -> list[str]:
    """Paths of files that are open now, devices left out."""
    led = []
    for each in Path("/proc/self/fd").iterdir():
        try:
            led.append(str(each.readlink()))
        except FileNotFoundError:  # the listing's own
            continue
    return sorted(name for name in led if name.startswith("/") and not name.startswith(("/dev", "/proc")))


@contextmanager
def nothing_left_open() -> Iterator[None]:
    """Raises ``AssertionError`` for what is opened inside and not closed; what was open before may be closed inside."""
    before = Counter(open_files())
    yield
    left = Counter(open_files()) - before
    if left:
        raise AssertionError(f"left open: {dict(left)}")
