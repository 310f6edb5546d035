"""Blocks as large as a picture are the system's own again once they are free, whatever was freed before."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

_PROGRAM = """
import ctypes
from pylfr._internal.heap import give_back_large_blocks

class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd a b c d e".split()]

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
libc.mallinfo2.restype = Mallinfo2

if {is_set}:
    assert give_back_large_blocks()
libc.free(libc.malloc(20 << 20))
before = libc.mallinfo2().hblks
libc.malloc(3 << 20)
print(libc.mallinfo2().hblks - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
@pytest.mark.parametrize(("is_set", "mapped"), [(True, "1"), (False, "0")])
def test_a_picture_has_pages_of_its_own_although_something_larger_was_freed(is_set: bool, mapped: str) -> None:
    program = _PROGRAM.format(is_set=is_set)
    # A threshold from outside would hide that glibc raises its own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    shown = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment
    ).stdout
    assert shown.strip() == mapped
