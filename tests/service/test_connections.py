"""Whoever opens connections and asks nothing costs the service a bounded number of descriptors, and nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from pylfr.errors import ConfigError
from pylfr.service.connections import ImpatientConnection, listening, most_connections
from tests.service.stand import PATIENCE_S

FEW = 5


class Hurried(ImpatientConnection):
    silence_s = 0.2


@pytest.mark.parametrize(("files", "most"), [(64, 32), (1024, 512), (1_000_000, 512), (-1, 512)])
def test_connections_take_half_of_the_open_files_at_most(
    files: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (files, files))
    assert most_connections() == most


def test_a_limit_under_which_nothing_can_be_served_is_named_before_anything_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (8, 8))
    with pytest.raises(ConfigError, match=r"needs at least 64 open files, and the limit is 8: raise it with `ulimit"):
        most_connections()


def pages() -> FastAPI:
    app = FastAPI()

    @app.get("/slow")
    async def slow() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(10):
                await asyncio.sleep(2 * Hurried.silence_s / 10)
                yield b"part "

        return StreamingResponse(parts())

    return app


@contextlib.contextmanager
def serving(protocol: type[ImpatientConnection] = ImpatientConnection) -> Iterator[int]:
    """The port of a service that may have ``FEW`` connections."""
    listeners = listening("127.0.0.1", 0, most=FEW)
    port = int(listeners[0].getsockname()[1])
    server = uvicorn.Server(uvicorn.Config(pages(), http=protocol, ws="none", log_config=None))
    thread = threading.Thread(target=server.run, args=(listeners,), daemon=True)
    thread.start()
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def is_closed(connected: socket.socket) -> bool:
    """Whether the other side hangs up, within the patience of tests."""
    try:
        return connected.recv(1) == b""
    except ConnectionResetError:
        return True


def test_more_connections_than_may_be_open_are_closed_and_the_place_of_one_that_goes_is_given_again() -> None:
    with serving() as port, contextlib.ExitStack() as idle:
        held = [idle.enter_context(connect(port)) for _ in range(FEW)]
        for each in held:
            # It was accepted: it answers.
            each.sendall(b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n")
            assert each.recv(12) == b"HTTP/1.1 404"
        with connect(port) as refused:
            assert is_closed(refused)
        held[0].close()
        with httpx.Client() as client:
            client_answers = False
            while not client_answers:
                with contextlib.suppress(httpx.TransportError):
                    client_answers = client.get(f"http://127.0.0.1:{port}/none").status_code == 404


def test_a_connection_that_asks_nothing_or_never_ends_its_question_is_closed() -> None:
    with serving(Hurried) as port, connect(port) as silent, connect(port) as endless:
        endless.sendall(b"GET /none HTTP/1.1\r\nX: ")
        assert is_closed(silent)
        assert is_closed(endless)


def test_an_answer_that_takes_long_is_not_cut_off() -> None:
    with serving(Hurried) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/slow", timeout=PATIENCE_S)
    assert answer.text == "part " * 10


def test_an_address_that_is_taken_is_named() -> None:
    with contextlib.closing(listening("127.0.0.1", 0, most=FEW)[0]) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"in use: '127.0.0.1:{port}'"):
            listening("127.0.0.1", port, most=FEW)
