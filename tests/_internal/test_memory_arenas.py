"""Threads share the memory that others have freed."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

ARENAS = """
import ctypes, sys, threading
from pylfr._internal.memory_arenas import share_arenas
if sys.argv[1] == "shared":
    share_arenas()
together = threading.Barrier(12)
def work():
    held = [bytes(2000) for _ in range(100)]
    together.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
for each in threads:
    each.start()
for each in threads:
    each.join()
libc = ctypes.CDLL("libc.so.6")
libc.fdopen.restype = ctypes.c_void_p
out = libc.fdopen(1, b"w")
libc.malloc_info(0, ctypes.c_void_p(out))
libc.fflush(ctypes.c_void_p(out))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
def test_twelve_threads_share_two_arenas() -> None:
    def arenas(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", ARENAS, how], capture_output=True, text=True, check=True)
        return done.stdout.count("<heap nr=")

    assert arenas("shared") <= 2 < arenas("each its own")
