"""One run of a deployment at a time: a lock beside its audit log, held for as long as the process that runs it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from datetime import datetime
from pathlib import Path

from pylfr._internal.canonical_json import utc_text
from pylfr._internal.strict_json import parse_object
from pylfr.errors import ConfigError


class InstanceLock:
    """The lock of a run. It ends with its process, however that ends; made by ``lock_instance``."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Let another run begin. May be called more than once."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def lock_instance(audit: Path, *, name: str, run: str, now: datetime) -> InstanceLock:
    """Take the lock of the deployment ``name`` whose audit log is ``audit``.

    Raises ``ConfigError`` where a run of it holds the lock, naming its process and since when, and where the folder
    cannot be written.
    """
    path = lock_path(audit, name)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(f"the lock {path} cannot be made ({error.strerror}): give the audit log a folder") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 1000, 0)
        os.close(descriptor)
        raise ConfigError(
            f"deployment {name!r} is already running ({_holder(holder)}): stop that run first; two would write one "
            "audit log and count everything twice"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"process": os.getpid(), "run": run, "since": utc_text(now)}).encode(), 0)
    return InstanceLock(descriptor)


def running(audit: Path, name: str) -> str | None:
    """The run of the deployment ``name`` that is going on now; None where there is none. "" where it did not say."""
    try:
        descriptor = os.open(lock_path(audit, name), os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            return str(parse_object(os.pread(descriptor, 1000, 0))["run"])
        except (ValueError, KeyError, TypeError):
            return ""
    finally:
        os.close(descriptor)
    return None


def lock_path(audit: Path, name: str) -> Path:
    """Where the lock is: several deployments may share one audit log, each has a lock of its own."""
    return audit.with_name(f".{audit.name}.{hashlib.sha256(name.encode()).hexdigest()[:8]}.lock")


def _holder(content: bytes) -> str:
    try:
        held = parse_object(content)
        return f"process {held['process']}, run {held['run']}, since {held['since']}"
    except (ValueError, KeyError, TypeError):
        return "by a process that did not say its name"
