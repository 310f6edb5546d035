"""Keeps what is in memory in memory: no core dump, no debugger, and keys in pages that are locked and wiped."""

from __future__ import annotations

import ctypes
import hmac
import os
import resource
import sys

import numpy as np

from pylfr import ops

_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4

CLOSED = "closed: it leaves no core dump, and other processes of its user cannot read it"
HALF_CLOSED = "closed to core dumps only: other processes of its user can read it"
OPEN = "open: core dumps, and other processes of its user, can read it"


def refuse_core_dumps() -> None:
    """From now on, and for every program started from here, a crash writes no memory to a disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def close_memory() -> None:
    """Close this process's memory to others, for as long as it lives.

    Linux closes it to debuggers and to whoever reads ``/proc/PID/mem`` as the same user; root still can. Elsewhere only
    core dumps are refused. Raises ``OSError`` where the system refuses.
    """
    refuse_core_dumps()
    if sys.platform == "linux":
        _control(_PR_SET_DUMPABLE)


def memory_state() -> str:
    """Who can read this process's memory, as the system says it: for the start-up lines, the record and the report."""
    if resource.getrlimit(resource.RLIMIT_CORE)[0] != 0:
        return OPEN
    return CLOSED if sys.platform == "linux" and _control(_PR_GET_DUMPABLE) == 0 else HALF_CLOSED


def _control(option: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    none = ctypes.c_ulong(0)
    result = int(libc.prctl(option, none, none, none, none))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl {option}, which closes memory: {os.strerror(error)}")
    return result


class LockedSecret:
    """A secret in pages of its own, the same as probe templates have, and zeros as soon as nobody holds it any more.

    They are out of swap where the system allows it, out of core dumps and of forked processes. ``view`` is the secret
    itself, not a copy, and must not outlive this object's use. Its text never shows it.
    """

    def __init__(self, length: int) -> None:
        if length < 1:
            raise ValueError(f"a secret has 1 byte or more, got {length}")
        self._pool = ops.TemplatePool(1, -(-length // 4))
        self._length = length

    @classmethod
    def copy_of(cls, content: bytes) -> LockedSecret:
        """The same bytes, locked. What was given is the caller's, and is not overwritten."""
        made = cls(len(content))
        made.view[:] = content
        return made

    @classmethod
    def random(cls, length: int) -> LockedSecret:
        """New random bytes from the kernel, written nowhere else."""
        made = cls(length)
        with open("/dev/urandom", "rb", buffering=0) as source:  # noqa: PTH123 - unbuffered, so that no copy is made
            if source.readinto(made.view) != length:
                raise OSError(f"the kernel gave fewer than {length} random bytes")
        return made

    @property
    def view(self) -> memoryview:
        """The bytes: readable and writable, uint8."""
        return self._pool.array.reshape(-1).view(np.uint8)[: self._length].data

    @property
    def is_locked(self) -> bool:
        """Whether the system agreed to keep it out of swap."""
        return self._pool.is_locked

    def wipe(self) -> None:
        """Overwrite it with zeros, now."""
        self._pool.wipe()

    def __len__(self) -> int:
        return self._length

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LockedSecret) and hmac.compare_digest(self.view, other.view)

    __hash__ = None  # type: ignore[assignment]
