"""Bytes from a web server: an interrupted download is resumed, under an exclusive lock."""

from __future__ import annotations

import fcntl
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from pylfr.errors import ModelError

# (bytes so far, total bytes or None if the server does not say)
Progress = Callable[[int, int | None], None]

_CHUNK = 1 << 18
_TIMEOUT_S = 30.0
# The largest pack in use is about 400 MB; a server that sends more than this is sending something else.
_MOST_BYTES = 2 << 30
_PARTIAL_CONTENT, _RANGE_NOT_SATISFIABLE = 206, 416


class Response(Protocol):
    """The part of a response that a download needs: its status, its bytes, and their announced number."""

    status: int

    def read(self, size: int, /) -> bytes: ...
    def getheader(self, name: str, /) -> str | None: ...
    def close(self) -> None: ...


OpenUrl = Callable[[str, int], Response]


def open_url(url: str, start: int) -> Response:
    """The web server's response from byte ``start`` on, through the proxy that ``https_proxy`` or ``http_proxy`` names.

    A server that cannot start there answers from the first byte. Raises ``OSError`` if there is no answer.
    """
    headers = {"User-Agent": "pylfr"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        opener = urllib.request.build_opener()  # anew, for the proxy that is named now
        response: Response = opener.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != _RANGE_NOT_SATISFIABLE or not start:
            raise
        error.close()
        return open_url(url, 0)
    return response


@contextmanager
def partial_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to append to, this process's alone. Raises ``ModelError`` while another one writes to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ModelError(f"{path} is being written by another process: wait until it has finished") from error
        yield file


def download(url: str, into: IO[bytes], *, open_url: OpenUrl, on_progress: Progress | None) -> None:
    """Append what is missing of the content of ``url`` to a file.

    Raises ``ModelError`` if it does not come completely; what came stays, for the next try.
    """
    done = into.seek(0, 2)
    try:
        response = open_url(url, done)
    except OSError as error:
        raise ModelError(f"{url} cannot be fetched: {error}") from error
    try:
        if done and response.status != _PARTIAL_CONTENT:
            into.truncate(0)
            done = 0
        length = response.getheader("Content-Length")
        total = done + int(length) if length is not None and length.isdigit() else None
        if on_progress is not None:
            on_progress(done, total)
        while chunk := response.read(_CHUNK):
            done += len(chunk)
            if done > _MOST_BYTES:
                into.truncate(0)
                raise ModelError(f"{url} must serve at most {_MOST_BYTES} bytes, it serves more")
            into.write(chunk)
            if on_progress is not None:
                on_progress(done, total)
        if total is not None and done != total:
            raise ModelError(f"{url} announced {total} bytes but ended after {done}: run it again to go on from there")
    except (OSError, http.client.HTTPException) as error:
        raise ModelError(f"{url} broke off after {done} bytes ({error}): run it again to go on from there") from error
    finally:
        response.close()
        into.flush()
