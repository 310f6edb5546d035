"""Libraries that this process has loaded: FFmpeg's, as PyAV brought them, whatever other FFmpeg the process has."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path


def loaded_library(file: Path | str) -> ctypes.CDLL:
    """A library or an extension module that is loaded, and what it is linked with. Loads nothing.

    Raises ``OSError`` where it is not loaded, on systems that can tell.
    """
    return ctypes.CDLL(str(file), mode=os.RTLD_NOW | getattr(os, "RTLD_NOLOAD", 0))
