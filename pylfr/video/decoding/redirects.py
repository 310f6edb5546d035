"""Keeps FFmpeg from following a redirect of RTSP, against which it has no setting.

It would follow one to any host, with the password of the address that it was given. Before it does, it says so in its
log, on the thread that connects. The core listens there (``csrc/core/ffmpeg_log.cpp``); when FFmpeg next asks whether
to go on, which it does before it sends anything, the answer is no (``interruption``).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import av.container.core
import av.logging

from pylfr.errors import MediaError
from pylfr.ops import ffmpeg_listener, take_redirect
from pylfr.video.decoding.loaded_library import loaded_library

# What opens cameras in PyAV.
_CONTAINERS = Path(av.container.core.__file__)


class _Listening:
    """How many threads connect just now: PyAV's own log comes back when none does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = 0

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        with self._lock:
            self._threads += 1
            libavutil().av_log_set_callback(ctypes.c_void_p(ffmpeg_listener()))
        try:
            yield
        finally:
            with self._lock:
                self._threads -= 1
                if not self._threads:
                    av.logging.set_level(av.logging.get_level())


_listening = _Listening()


@contextlib.contextmanager
def hearing_redirects() -> Iterator[Callable[[], bool]]:
    """Whether FFmpeg was about to follow a redirect on this thread, within the block.

    PyAV's own log is silent meanwhile. Raises ``MediaError`` as ``libavutil`` does.
    """
    with _listening.held():
        take_redirect()
        is_heard = False

        def is_redirected() -> bool:
            nonlocal is_heard
            is_heard = take_redirect() or is_heard
            return is_heard

        yield is_redirected


class _Symbol(ctypes.Structure):
    """``Dl_info`` of the dynamic linker: the file that a symbol came from, and where it lies."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


@functools.cache
def libavutil(containers: Path = _CONTAINERS) -> ctypes.CDLL:
    """The library of FFmpeg that logs for ``containers``, a loaded module, whatever other FFmpeg the process has.

    Raises ``MediaError`` where FFmpeg was built into the module: then nobody can listen.
    """
    found = _Symbol()
    try:
        # The linker looks in the module and in what it is linked with, nowhere else.
        logs = loaded_library(containers).av_log_set_callback
        ctypes.CDLL(None).dladdr(logs, ctypes.byref(found))
    except (OSError, AttributeError):
        pass
    library = os.fsdecode(found.file or b"")
    if not library or Path(library).samefile(containers):
        raise MediaError(
            "this PyAV has FFmpeg built in, so that nothing keeps it from following an RTSP camera's redirect with the "
            "camera's password: install the wheel (pip install --force-reinstall --only-binary av av)"
        )
    return loaded_library(library)
