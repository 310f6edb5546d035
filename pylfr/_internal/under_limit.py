"""Under a memory limit a command runs in a child process, and its parent reports an end that the child could not.

A library that gets no memory aborts the process, with some lines of its own: OpenBLAS does, and so does C++ where
nothing catches the error. Python then prints nothing. This module imports nothing that takes much memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import TextIOWrapper
from typing import NoReturn

from pylfr._internal.limits import memory_is_used_up, memory_limit_mb

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
# Forwarded to the child when they were sent to the parent alone; a terminal sends them to both.
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# They end a process that a library aborts, or that the kernel kills for want of memory.
_OF_A_LIBRARY = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGKILL)
_MOST_OUTPUT_BYTES = 8192
_POLL_S = 0.2
_SAID, _SAID_LIMIT = b"s", b"l"


@dataclass(slots=True)
class _Parent:
    """A child's descriptors: to tell its parent that the reason of the end was printed, and to print it."""

    told: int = -1
    stderr: int = 2


_parent = _Parent()


def speak(line: str) -> None:
    """Write one line to stderr, past Python's own stream, which may not work any more."""
    with contextlib.suppress(OSError):
        os.write(_parent.stderr, f"{line}\n".encode())


def say_ended(*, of_a_limit: bool) -> None:
    """Tell a parent that the reason of the end has been printed, so that it adds nothing."""
    if _parent.told >= 0:
        with contextlib.suppress(OSError):
            os.write(_parent.told, _SAID_LIMIT if of_a_limit else _SAID)


def run_under_limit(command: Callable[[], None]) -> None:
    """Run ``command``, in a child process where memory is limited; the parent does not return.

    A service of systemd stays in the process that systemd started.
    """
    if memory_limit_mb() is None or "NOTIFY_SOCKET" in os.environ:
        command()
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*_FORWARDED, signal.SIGCHLD})
    parent = os.getpid()
    try:
        output, output_end = os.pipe()
        told, told_end = os.pipe()
        child = os.fork()
    except OSError:
        # Then no parent reports anything.
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        command()
        return
    if child:
        os.close(output_end)
        os.close(told_end)
        _wait(child, output, told)
    _be_child(parent, output_end)
    _parent.told = told_end
    os.close(output)
    os.close(told)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    command()


def _be_child(parent: int, output: int) -> None:
    """End with the parent, and send what libraries write to stderr to ``output`` instead."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
    stderr = _parent.stderr = os.dup(2)
    os.dup2(output, 2)
    os.close(output)
    if isinstance(sys.stderr, TextIOWrapper):
        sys.stderr = open(stderr, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")  # noqa: SIM115, PTH123 - it lives as long as the process


def _wait(child: int, output: int, told: int) -> NoReturn:
    """Wait for the child, forward signals, and end as it ended."""
    # The environment holds the same secrets here as in the child.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    _prctl(_PR_SET_DUMPABLE, 0)
    os.set_blocking(output, False)
    printed = b""
    status = None
    while status is None:
        got = signal.sigtimedwait({*_FORWARDED, signal.SIGCHLD}, _POLL_S)
        if got is not None and got.si_signo in _FORWARDED and got.si_code <= 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, got.si_signo)
        printed = (printed + _read(output))[-_MOST_OUTPUT_BYTES:]
        ended, how = os.waitpid(child, os.WNOHANG)
        status = how if ended else None
    printed = (printed + _read(output))[-_MOST_OUTPUT_BYTES:]
    is_there = select.select([told], [], [], 0)[0]
    said = os.read(told, 100) if is_there else b""
    _end_as(os.waitstatus_to_exitcode(status), printed, said)


def _end_as(code: int, printed: bytes, said: bytes) -> NoReturn:
    if code < 0 and -code not in _OF_A_LIBRARY:
        signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
        os.kill(os.getpid(), -code)
    if code == 0 or _SAID in said:
        os.write(2, printed)
    elif not said:
        os.write(2, f"error: {_reason(code, printed)}\n".encode())
    os._exit(code if code >= 0 else 1)


def _reason(code: int, printed: bytes) -> str:
    """Why a child ended that did not say so itself."""
    how = f"{signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    lines = [line.strip() for line in printed.decode("utf-8", "replace").splitlines() if line.strip()]
    quoted = "".join(each if each.isprintable() else " " for each in lines[0][:120]) if lines else ""
    words = f"{how}: {quoted}" if quoted else how
    return f"{memory_is_used_up()}; a library ended the process ({words})"


def _read(descriptor: int) -> bytes:
    content = b""
    with contextlib.suppress(BlockingIOError):
        while part := os.read(descriptor, 65536):
            content += part
            content = content[-_MOST_OUTPUT_BYTES:]
    return content


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(ctypes.c_int(option), ctypes.c_ulong(value), 0, 0, 0)
