"""What a process does to itself before it touches bytes from a stranger: it gives up everything but computing.

Afterwards it reads and writes what is open already, and no more. It opens no file and no socket, starts no program and
no process, and maps no memory to run; it dies with the process that started it and leaves no core dump.

The system calls are an allow-list (seccomp), which needs no privilege. Numbers: Linux's ``unistd_64.h`` of x86-64 and
``asm-generic/unistd.h``, which arm64 uses; layout of the filter: ``linux/filter.h`` and ``linux/seccomp.h``.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import socket
import struct
from dataclasses import dataclass

# One line for the log, the audit and the report.
HELD = "a process without network, files, programs or privileges (seccomp allow-list, memory limit)"

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_EPERM, _ENOSYS = 1, 38
_LOAD, _EQUAL, _ANY_BIT, _GREATER, _RETURN = 0x20, 0x15, 0x45, 0x25, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_CLONE_THREAD, _PROT_EXEC, _F_GETFL, _F_DUPFD_CLOEXEC = 0x10000, 4, 3, 1030


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    """The numbers of system calls on one kind of processor."""

    architecture: int
    free: tuple[int, ...]
    clone: int
    mmap: int
    mprotect: int
    fcntl: int
    tgkill: int
    clone3: int = 435


# Reading, writing and waiting on what is open; memory; time; threads; signals to oneself; the end.
_MACHINES = {
    "x86_64": _Machine(
        architecture=0xC000003E,
        free=(
            0, 1, 3, 5, 7, 8, 11, 12, 13, 14, 15, 17, 19, 20, 23, 24, 25, 28, 32, 35, 39, 44, 45, 46, 47, 60, 96, 98,
            131, 186, 201, 202, 204, 219, 228, 230, 231, 262, 270, 271, 273, 292, 318, 324, 334,
        ),
        clone=56, mmap=9, mprotect=10, fcntl=72, tgkill=234,
    ),
    "aarch64": _Machine(
        architecture=0xC00000B7,
        free=(
            23, 24, 57, 62, 63, 64, 65, 66, 67, 72, 73, 79, 80, 93, 94, 98, 99, 101, 113, 115, 123, 124, 128, 132, 134,
            135, 139, 165, 169, 172, 178, 206, 207, 211, 212, 214, 215, 216, 233, 278, 283, 293,
        ),
        clone=220, mmap=222, mprotect=226, fcntl=25, tgkill=131,
    ),
}  # fmt: skip


def confine(*, memory_mb: int, cpu_s: int | None = None) -> None:
    """Give up everything but computing, with that much more memory and, where given, that much processor time.

    Raises ``OSError`` where the system refuses, or where an attempt to open a socket or a file afterwards succeeds.
    """
    for limit, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_AS, _mapped_bytes() + memory_mb * 1_000_000),
        *(((resource.RLIMIT_CPU, cpu_s),) if cpu_s is not None else ()),
    ):
        resource.setrlimit(limit, (most, most))
    libc = ctypes.CDLL(None, use_errno=True)
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        raise OSError(f"no list of system calls for {platform.machine()}, only for {' and '.join(_MACHINES)}")
    _control(libc, _PR_SET_DUMPABLE, 0)
    _control(libc, _PR_SET_NO_NEW_PRIVS, 1)
    program = _program(machine)
    content = ctypes.create_string_buffer(b"".join(program))
    # struct sock_fprog: a count of 16 bits, then a pointer on its own alignment
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(content)))
    _control(libc, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(header))
    _prove()


def die_with(parent: int) -> None:
    """End as soon as the process ``parent``, which started this one, does, even where that was killed."""
    _control(ctypes.CDLL(None, use_errno=True), _PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _prove() -> None:
    """Raise ``OSError`` unless the doors are closed: by trying them."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    except PermissionError:
        pass
    else:
        raise OSError("a socket could be opened in spite of the filter")
    for flags in (os.O_RDONLY, os.O_WRONLY):
        try:
            os.close(os.open(os.devnull, flags))
        except PermissionError:
            pass
        else:
            raise OSError("a file could be opened in spite of the filter")


def _control(libc: ctypes.CDLL, option: int, value: int, pointer: int = 0) -> None:
    if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(pointer), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        error = ctypes.get_errno()
        raise OSError(error, f"prctl {option}: {os.strerror(error)}")


def _mapped_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - a child that imports little
        return int(file.read().split()[0]) * resource.getpagesize()


def _program(machine: _Machine) -> list[bytes]:
    """The filter: what is not on the list is refused with EPERM, another architecture's calls kill."""
    refuse, allow = _line(_RETURN, _REFUSE | _EPERM), _line(_RETURN, _ALLOW)
    lines = [
        _line(_LOAD, _ARCHITECTURE),
        _line(_EQUAL, machine.architecture, on_true=1),
        _line(_RETURN, _KILL),
        _line(_LOAD, _NUMBER),
        # glibc asks for clone3 first and falls back to clone, whose flags a filter can read.
        _line(_EQUAL, machine.clone3, on_false=1),
        _line(_RETURN, _REFUSE | _ENOSYS),
        # Threads, no processes.
        _line(_EQUAL, machine.clone, on_false=4),
        _line(_LOAD, _argument(0)),
        _line(_ANY_BIT, _CLONE_THREAD, on_false=1),
        allow,
        refuse,
        # Signals to itself: that is how a program aborts.
        _line(_EQUAL, machine.tgkill, on_false=4),
        _line(_LOAD, _argument(0)),
        _line(_EQUAL, os.getpid(), on_false=1),
        allow,
        refuse,
        # Descriptors may be copied and read; F_SETOWN and F_SETSIG could signal other processes.
        _line(_EQUAL, machine.fcntl, on_false=5),
        _line(_LOAD, _argument(1)),
        _line(_EQUAL, _F_DUPFD_CLOEXEC, on_true=1),
        _line(_GREATER, _F_GETFL, on_true=1),
        allow,
        refuse,
    ]
    for number in (machine.mmap, machine.mprotect):
        # Memory, but none to run.
        lines += [
            _line(_EQUAL, number, on_false=4),
            _line(_LOAD, _argument(2)),
            _line(_ANY_BIT, _PROT_EXEC, on_true=1),
            allow,
            refuse,
        ]
    for number in machine.free:
        lines += [_line(_EQUAL, number, on_false=1), allow]
    return [*lines, refuse]


def _argument(place: int) -> int:
    """Where the low half of a call's argument stands: both machines are little-endian."""
    return _ARGUMENTS + 8 * place


def _line(code: int, value: int, *, on_true: int = 0, on_false: int = 0) -> bytes:
    """One instruction; ``on_true`` and ``on_false`` say how many to pass over."""
    return struct.pack("HBBI", code, on_true, on_false, value)
