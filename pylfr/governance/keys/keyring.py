"""Keys in kernel memory, on no disk, which the kernel discards at their deadline (Linux, keyrings(7))."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import secrets

from pylfr.errors import VaultError
from pylfr.governance.keys.memory import LockedSecret

# Numbers of add_key and keyctl, and keyctl's operations, from the kernel's headers.
_CALLS = {"x86_64": (248, 250), "aarch64": (217, 219)}
_USER_KEYRING = -4
_SETPERM, _SEARCH, _READ, _SET_TIMEOUT, _INVALIDATE = 5, 10, 11, 15, 21
# Whoever possesses it and its owner may use it; nobody else even sees it.
_OWNER_ONLY = 0x3F3F0000
_LONGEST_S = 2**31 - 1


def keyring_works() -> bool:
    """Whether this kernel stores keys for us, tried with a key that is removed at once: many containers forbid it."""
    name = f"pylfr:trial:{secrets.token_hex(8)}"
    try:
        trial = LockedSecret.copy_of(b"trial")
        keep_key(name, trial, seconds=10)
        works = find_key(name) == trial
        forget_key(name)
    except VaultError:
        return False
    return works


def keep_key(name: str, secret: LockedSecret, *, seconds: float) -> None:
    """Put ``secret`` into the user's keyring for so long. Raises ``VaultError`` with the kernel's reason."""
    if not 0 < seconds <= _LONGEST_S:
        raise VaultError(f"the kernel keeps a key for 1 to {_LONGEST_S} s, got {seconds:g}")
    add_key, _ = _calls()
    content = (ctypes.c_char * len(secret)).from_buffer(secret.view)
    key = _call(add_key, b"user", name.encode(), content, ctypes.c_size_t(len(secret)), ctypes.c_int(_USER_KEYRING))
    try:
        _keyctl(_SETPERM, ctypes.c_int(key), ctypes.c_uint(_OWNER_ONLY))
        _keyctl(_SET_TIMEOUT, ctypes.c_int(key), ctypes.c_uint(math.ceil(seconds)))
    except VaultError:
        forget_key(name)
        raise


def find_key(name: str) -> LockedSecret | None:
    """The secret of that name; None where the kernel has none, or none any more."""
    key = _find(name)
    if key is None:
        return None
    length = _keyctl(_READ, ctypes.c_int(key), None, ctypes.c_size_t(0))
    if length < 1:
        return None
    secret = LockedSecret(length)
    # Straight into locked memory: no other copy is made.
    _keyctl(_READ, ctypes.c_int(key), (ctypes.c_char * length).from_buffer(secret.view), ctypes.c_size_t(length))
    return secret


def forget_key(name: str) -> None:
    """Have the kernel forget a key at once; nothing where it has none."""
    key = _find(name)
    if key is not None:
        _keyctl(_INVALIDATE, ctypes.c_int(key))


def _find(name: str) -> int | None:
    try:
        return _keyctl(_SEARCH, ctypes.c_int(_USER_KEYRING), b"user", name.encode(), ctypes.c_int(0))
    except VaultError:
        return None


def _keyctl(operation: int, *arguments: object) -> int:
    return _call(_calls()[1], ctypes.c_int(operation), *arguments)


def _calls() -> tuple[int, int]:
    if platform.system() != "Linux" or platform.machine() not in _CALLS:
        raise VaultError(f"the keyring is used on Linux, {' and '.join(_CALLS)}: this is {platform.platform()}")
    return _CALLS[platform.machine()]


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result = int(libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        raise VaultError(f"the kernel keeps no key here: {os.strerror(ctypes.get_errno())}")
    return result
