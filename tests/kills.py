"""A process that is killed with -9 before each of its steps that reach a disk, one after the other."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

# Every call that changes what a restart finds.
STEPS = ("write", "fsync", "rename", "replace", "unlink", "link", "ftruncate", "mkdir")


def killed_before(step: int, work: Callable[[], object]) -> bool:
    """Do ``work`` in a process of its own, which kills itself before its step of that number; whether it came so far.

    Steps are counted from 0. Raises ``AssertionError`` where ``work`` fails.
    """
    child = os.fork()
    if not child:
        try:
            _count(step)
            work()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the work failed"
    return False


def _count(last: int) -> None:
    """Replace each call by one that counts, and kills where it is the last."""
    left = last

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the call takes and gives
            nonlocal left
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return call(*given, **named)

        return instead

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))
