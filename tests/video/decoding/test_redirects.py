"""FFmpeg is listened to where PyAV has it, and nowhere else: otherwise nobody would hear of a redirect."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import av.container.core
import pytest

from pylfr.errors import MediaError
from pylfr.video.decoding.redirects import libavutil

_STUB = "void av_log_set_callback(void *callback) { (void)callback; }\n"
_NEEDS_COMPILER = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


def compiled(path: Path, source: str) -> Path:
    """A library made of ``source``."""
    subprocess.run(["cc", "-shared", "-fPIC", "-xc", "-", "-o", path], input=source.encode(), check=True)
    return path


def test_the_library_that_is_listened_to_is_the_one_that_pyav_is_linked_with() -> None:
    linked = ctypes.CDLL(str(av.container.core.__file__), mode=os.RTLD_NOW | os.RTLD_NOLOAD)
    found = libavutil()
    assert address(found.av_log_set_callback) == address(linked.av_log_set_callback)
    assert "libavutil" in str(found._name)


def address(function: object) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0  # type: ignore[arg-type]


@_NEEDS_COMPILER
def test_another_ffmpeg_in_the_same_environment_is_not_taken_for_pyavs(tmp_path: Path) -> None:
    """As PyQt and OpenCV bring one: beside PyAV, loaded before it, with a name that sorts before."""
    packages = Path(av.__file__).parents[1]
    for each in ("av", "av.libs"):
        (tmp_path / each).symlink_to(packages / each)
    (tmp_path / "Another.libs").mkdir()
    compiled(tmp_path / "Another.libs/libavutil.so.60", _STUB)
    program = f"""
import ctypes, os, sys
another = ctypes.CDLL({str(tmp_path / "Another.libs/libavutil.so.60")!r})
import av, av.container.core
from pylfr.video.decoding.redirects import libavutil
where = lambda library: ctypes.cast(library.av_log_set_callback, ctypes.c_void_p).value
assert av.__file__.startswith({str(tmp_path)!r}), av.__file__
assert where(libavutil()) == where(ctypes.CDLL(av.container.core.__file__))
assert where(libavutil()) != where(another)
"""
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=paths)
    assert done.returncode == 0, done.stderr


@_NEEDS_COMPILER
@pytest.mark.parametrize(
    "source", [_STUB, "int nothing(void) { return 0; }\n"], ids=["it logs itself", "it does not say how it logs"]
)
def test_a_pyav_with_ffmpeg_built_in_is_refused(source: str, tmp_path: Path) -> None:
    module = compiled(tmp_path / "core.so", source)
    ctypes.CDLL(str(module))
    with pytest.raises(MediaError, match="has FFmpeg built in"):
        libavutil(module)


def test_a_module_that_was_not_loaded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="has FFmpeg built in"):
        libavutil(tmp_path / "core.so")
