"""Under a limit on memory a command runs in a child process, and its parent says what the child could not say any more.

A library that gets no memory ends the process where it stands, with some lines of its own: OpenBLAS does, and C++ does
where nothing catches. Python then says nothing. Nothing here is imported that takes memory.
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
# What is handed on to the child where somebody sends it to the parent alone; a terminal sends to both.
_HANDED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# How a process ends that a library ended, or the kernel where memory ran out.
_OF_A_LIBRARY = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGKILL)
_LONGEST_CHATTER = 8192
_LOOK_S = 0.2
_SAID, _SAID_LIMIT = b"s", b"l"


@dataclass(slots=True)
class _Parent:
    """Of a child: where it tells its parent that it has said why it ends, and where it says so itself."""

    line: int = -1
    voice: int = 2


_parent = _Parent()


def speak(line: str) -> None:
    """One line on stderr, where not even Python's own may work."""
    with contextlib.suppress(OSError):
        os.write(_parent.voice, f"{line}\n".encode())


def say_ended(*, of_a_limit: bool) -> None:
    """Tell a parent that the reason of the end has been printed, so that it adds nothing."""
    if _parent.line >= 0:
        with contextlib.suppress(OSError):
            os.write(_parent.line, _SAID_LIMIT if of_a_limit else _SAID)


def run_under_limit(command: Callable[[], None]) -> None:
    """Run ``command``, in a child where memory is limited; the parent does not come back.

    A service that systemd watches stays the process that it started.
    """
    if memory_limit_mb() is None or "NOTIFY_SOCKET" in os.environ:
        command()
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*_HANDED_ON, signal.SIGCHLD})
    parent = os.getpid()
    try:
        chatter, chatter_end = os.pipe()
        told, told_end = os.pipe()
        child = os.fork()
    except OSError:
        # Then nobody adds anything.
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        command()
        return
    if child:
        os.close(chatter_end)
        os.close(told_end)
        _stay(child, chatter, told)
    _be_child(parent, chatter_end)
    _parent.line = told_end
    os.close(chatter)
    os.close(told)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    command()


def _be_child(parent: int, chatter: int) -> None:
    """Die with the parent, and speak past what libraries write to the second descriptor."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
    voice = _parent.voice = os.dup(2)
    os.dup2(chatter, 2)
    os.close(chatter)
    if isinstance(sys.stderr, TextIOWrapper):
        sys.stderr = open(voice, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")  # noqa: SIM115, PTH123 - it lives as long as the process


def _stay(child: int, chatter: int, told: int) -> NoReturn:
    """Wait for the child, hand signals on, and end as it ended."""
    # What is in the environment is as secret here as there.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    _prctl(_PR_SET_DUMPABLE, 0)
    os.set_blocking(chatter, False)
    heard = b""
    status = None
    while status is None:
        got = signal.sigtimedwait({*_HANDED_ON, signal.SIGCHLD}, _LOOK_S)
        if got is not None and got.si_signo in _HANDED_ON and got.si_code <= 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, got.si_signo)
        heard = (heard + _read(chatter))[-_LONGEST_CHATTER:]
        ended, how = os.waitpid(child, os.WNOHANG)
        status = how if ended else None
    heard = (heard + _read(chatter))[-_LONGEST_CHATTER:]
    is_there = select.select([told], [], [], 0)[0]
    said = os.read(told, 100) if is_there else b""
    _end_as(os.waitstatus_to_exitcode(status), heard, said)


def _end_as(code: int, heard: bytes, said: bytes) -> NoReturn:
    if code < 0 and -code not in _OF_A_LIBRARY:
        signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
        os.kill(os.getpid(), -code)
    if code == 0 or _SAID in said:
        os.write(2, heard)
    elif not said:
        os.write(2, f"error: {_last_words(code, heard)}\n".encode())
    os._exit(code if code >= 0 else 1)


def _last_words(code: int, heard: bytes) -> str:
    """Why a child ended that did not say it."""
    how = f"{signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    lines = [line.strip() for line in heard.decode("utf-8", "replace").splitlines() if line.strip()]
    quoted = "".join(each if each.isprintable() else " " for each in lines[0][:120]) if lines else ""
    words = f"{how}: {quoted}" if quoted else how
    return f"{memory_is_used_up()}; a library ended the process ({words})"


def _read(descriptor: int) -> bytes:
    content = b""
    with contextlib.suppress(BlockingIOError):
        while part := os.read(descriptor, 65536):
            content += part
            content = content[-_LONGEST_CHATTER:]
    return content


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(ctypes.c_int(option), ctypes.c_ulong(value), 0, 0, 0)
