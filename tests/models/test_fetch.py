"""Fetching over real connections: a server on this machine that breaks off, continues, and acts as a proxy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pylfr.errors import ModelError
from pylfr.models.download import partial_file
from pylfr.models.store import ModelStore, Places, open_store
from tests.models.manifests import DETECTOR, fetched_manifest, write
from tests.models.test_store import NETWORK, files_in, zipped


@dataclass
class Server:
    """What it serves, how many bytes it sends before it hangs up, and what it was asked."""

    address: str
    content: bytes = NETWORK
    breaks_after: int | None = None
    continues: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            served.asked.append((self.path, wanted))
            if "missing" in self.path:
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and served.continues else 0
            if start and start >= len(served.content):
                self.send_error(416)
                return
            rest = served.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest if served.breaks_after is None else rest[: served.breaks_after])

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        served = Server(f"http://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield served
        http.shutdown()
        thread.join()


def store_of(folder: Path, *mirrors: str, manifest: str | None = None) -> ModelStore:
    write(folder / "catalogue", "net", manifest or fetched_manifest(NETWORK, file="net.onnx"))
    places = Places(catalogue=folder / "catalogue", own=None, cache=folder / "cache", config=folder / "config")
    return ModelStore(places, mirrors=mirrors)


def test_what_broke_off_is_kept_and_continued_from_there(tmp_path: Path, server: Server) -> None:
    store, server.breaks_after = store_of(tmp_path, server.address), 1000
    with pytest.raises(ModelError, match=r"after 1000.* run it again to go on from there; nothing else is asked"):
        store.fetch("net")
    with pytest.raises(ModelError, match=r"not installed"):
        store.resolve("net")
    server.breaks_after = None
    progress: list[int] = []
    assert store.fetch("net", on_progress=lambda done, _: progress.append(done)).path.read_bytes() == NETWORK
    assert server.asked == [("/net.onnx", None), ("/net.onnx", "bytes=1000-")]
    assert (progress[0], progress[-1]) == (1000, len(NETWORK))
    assert files_in(tmp_path / "cache") == ["net.onnx"]


def test_a_server_that_cannot_continue_is_read_from_the_start(tmp_path: Path, server: Server) -> None:
    store, server.breaks_after, server.continues = store_of(tmp_path, server.address), 1000, False
    with pytest.raises(ModelError, match=r"after 1000"):
        store.fetch("net")
    server.breaks_after = None
    assert store.fetch("net").path.read_bytes() == NETWORK


def test_a_continued_file_that_turns_out_to_be_another_is_thrown_away(tmp_path: Path, server: Server) -> None:
    store, server.breaks_after = store_of(tmp_path, server.address), 1000
    with pytest.raises(ModelError, match=r"after 1000"):
        store.fetch("net")
    server.breaks_after, server.content = None, NETWORK[:-1] + b"!"
    with pytest.raises(ModelError, match=r"must have sha256"):
        store.fetch("net")
    assert files_in(tmp_path / "cache") == []


def test_two_processes_do_not_write_into_one_file(tmp_path: Path) -> None:
    with (
        partial_file(tmp_path / "part"),
        pytest.raises(ModelError, match=r"another process"),
        partial_file(tmp_path / "part"),
    ):
        pass


def test_mirrors_are_asked_in_turn_and_each_failure_is_said(tmp_path: Path, server: Server) -> None:
    store = store_of(tmp_path, f"{server.address}/missing/", f"{server.address}/networks/")
    said: list[str] = []
    store.fetch("net", on_address=said.append)
    assert [path for path, _ in server.asked] == ["/missing/net.onnx", "/networks/net.onnx"]
    assert "404" in said[1]
    assert "/networks/net.onnx" in said[1]


def test_a_mirror_serves_what_nobody_else_does_if_its_hash_is_known(tmp_path: Path, server: Server) -> None:
    manifest = "\n".join(
        line for line in fetched_manifest(NETWORK, file="net.onnx").splitlines() if not line.startswith("url")
    )
    with pytest.raises(ModelError, match=r"cannot be fetched"):
        store_of(tmp_path, manifest=manifest).fetch("net")
    assert store_of(tmp_path, server.address, manifest=manifest).fetch("net").path.read_bytes() == NETWORK
    with pytest.raises(ModelError, match=r"cannot be fetched"):
        store_of(tmp_path / "unknown", server.address, manifest=DETECTOR).fetch("net")


def test_a_mirror_serves_the_network_itself_and_no_archive(tmp_path: Path, server: Server) -> None:
    manifest = fetched_manifest(NETWORK, file="net.onnx", member="det.onnx")
    assert store_of(tmp_path, server.address, manifest=manifest).fetch("net").path.read_bytes() == NETWORK
    server.content = zipped(det=NETWORK)
    with pytest.raises(ModelError, match=r"must have sha256"):
        store_of(tmp_path / "pack", server.address, manifest=manifest).fetch("net")


def test_the_proxy_that_the_environment_names_is_asked(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.address)
    assert store_of(tmp_path, "http://mirror.invalid/networks").fetch("net").path.read_bytes() == NETWORK
    assert server.asked == [("http://mirror.invalid/networks/net.onnx", None)]


def test_a_mirror_must_be_an_address(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYLFR_MODELS_MIRROR", f"https://mirror.example {home}")
    with pytest.raises(ModelError, match=r"PYLFR_MODELS_MIRROR must be addresses that start with https"):
        open_store()
