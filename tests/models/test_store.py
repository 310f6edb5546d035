from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pylfr.errors import LicenceError, ModelError
from pylfr.models.store import ModelStore, Places, open_store
from tests.models.manifests import DETECTOR, EMBEDDER, fetched_manifest, write

NETWORK = b"a network, for all that a store can see" * 1000


class Answer:
    """What a server says: bytes, and how many it promised."""

    def __init__(self, content: bytes, promised: int | None) -> None:
        self.status = 200
        self._file = io.BytesIO(content)
        self._promised = promised

    def read(self, size: int, /) -> bytes:
        return self._file.read(size)

    def getheader(self, name: str, /) -> str | None:
        return str(self._promised) if name == "Content-Length" and self._promised is not None else None

    def close(self) -> None:
        self._file.close()


def serving(content: bytes, *, promised: int | None = None) -> Callable[[str, int], Answer]:
    return lambda *_: Answer(content, promised)


def no_server(url: str, start: int) -> Answer:
    raise AssertionError(f"nothing may be downloaded unasked, {url} was")


def store_at(
    folder: Path, *, open_url: Callable[[str, int], Answer] = no_server, own: Path | None = None
) -> ModelStore:
    places = Places(catalogue=folder / "catalogue", own=own, cache=folder / "cache", config=folder / "config")
    return ModelStore(places, open_url=open_url)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"pack/{name}.onnx", content)
    return buffer.getvalue()


def test_an_unknown_name_gives_the_nearest_ones(tmp_path: Path) -> None:
    write(tmp_path / "catalogue", "finder", DETECTOR)
    with pytest.raises(ModelError, match=r"unknown network 'findr': did you mean finder\?"):
        store_at(tmp_path).resolve("findr")


def test_a_missing_network_names_the_folders_searched_and_how_to_get_it(tmp_path: Path) -> None:
    write(tmp_path / "catalogue", "net", fetched_manifest(NETWORK, file="net.onnx", licence="study-only"))
    own = tmp_path / "own"
    own.mkdir()
    with pytest.raises(ModelError) as caught:
        store_at(tmp_path, own=own).resolve("net")
    assert f"{own} and {tmp_path / 'cache'}" in str(caught.value)
    assert "`pylfr models fetch net --accept-licence study-only`" in str(caught.value)


def test_a_network_that_can_only_be_imported_says_so(tmp_path: Path) -> None:
    write(tmp_path / "catalogue", "finder", DETECTOR)
    with pytest.raises(ModelError, match=r"pylfr models import finder.onnx"):
        store_at(tmp_path).resolve("finder")
    with pytest.raises(ModelError, match=r"finder cannot be fetched.*https://example.org/finder"):
        store_at(tmp_path).fetch("finder")


def test_a_fetched_network_is_verified_and_then_found(tmp_path: Path) -> None:
    write(tmp_path / "catalogue", "net", fetched_manifest(NETWORK, file="net.onnx"))
    seen: list[tuple[int, int | None]] = []
    store = store_at(tmp_path, open_url=serving(NETWORK, promised=len(NETWORK)))
    model = store.fetch("net", on_progress=lambda done, total: seen.append((done, total)))
    assert model.path == tmp_path / "cache" / "net.onnx"
    assert model.sha256 == hashlib.sha256(NETWORK).hexdigest()
    assert seen[-1] == (len(NETWORK), len(NETWORK))
    assert store_at(tmp_path).resolve("net").path.read_bytes() == NETWORK
    assert store_at(tmp_path).fetch("net") == model, "what is there is not fetched again"


def test_a_member_of_an_archive_is_fetched_from_any_folder_in_it(tmp_path: Path) -> None:
    write(tmp_path / "catalogue", "net", fetched_manifest(NETWORK, file="net.onnx", member="det.onnx"))
    store = store_at(tmp_path, open_url=serving(zipped(other=b"x", det=NETWORK)))
    assert store.fetch("net").path.read_bytes() == NETWORK
    assert files_in(tmp_path / "cache") == ["net.onnx"], "the archive is not kept"


@pytest.mark.parametrize(
    ("content", "promised", "said"),
    [
        (NETWORK[:-1] + b"!", None, "must have sha256"),
        (b"", None, "must have sha256"),
    ],
)
def test_a_download_of_something_else_leaves_nothing_behind(
    tmp_path: Path, content: bytes, promised: int | None, said: str
) -> None:
    write(tmp_path / "catalogue", "net", fetched_manifest(NETWORK, file="net.onnx"))
    with pytest.raises(ModelError, match=said):
        store_at(tmp_path, open_url=serving(content, promised=promised)).fetch("net")
    assert files_in(tmp_path / "cache") == []


@pytest.mark.parametrize("pack", [b"no archive", zipped(other=NETWORK), zipped(det=NETWORK + b"!")])
def test_an_archive_without_the_right_member_is_refused_and_not_stored(tmp_path: Path, pack: bytes) -> None:
    write(tmp_path / "catalogue", "net", fetched_manifest(NETWORK, file="net.onnx", member="det.onnx"))
    with pytest.raises(ModelError, match=r"is not a zip archive|must contain one det.onnx"):
        store_at(tmp_path, open_url=serving(pack)).fetch("net")
    assert files_in(tmp_path / "cache") == []


def test_an_unreachable_server_is_a_clear_error(tmp_path: Path) -> None:
    def refused(url: str, start: int) -> Answer:
        raise ConnectionRefusedError(111, "Connection refused")

    write(tmp_path / "catalogue", "net", fetched_manifest(NETWORK, file="net.onnx"))
    with pytest.raises(ModelError, match=r"https://example.org/get cannot be fetched.*Connection refused"):
        store_at(tmp_path, open_url=refused).fetch("net")


def test_an_altered_network_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "catalogue", "net", fetched_manifest(NETWORK, file="net.onnx"))
    store = store_at(tmp_path, open_url=serving(NETWORK))
    path = store.fetch("net").path
    path.write_bytes(b"!" + NETWORK[1:])
    with pytest.raises(ModelError, match=r"net.onnx must have sha256 .* to be net, got .* altered"):
        store.resolve("net")


def test_a_restricted_licence_is_accepted_by_name_and_once(tmp_path: Path) -> None:
    write(tmp_path / "catalogue", "net", fetched_manifest(NETWORK, file="net.onnx", licence="study-only"))
    store = store_at(tmp_path, open_url=serving(NETWORK))
    with pytest.raises(LicenceError, match=r"--accept-licence study-only$"):
        store.fetch("net")
    with pytest.raises(LicenceError, match="--accept-licence study-only, got 'MIT'"):
        store.fetch("net", accept_licence="MIT")
    assert files_in(tmp_path / "cache") == []
    model = store.fetch("net", accept_licence="study-only")
    assert model.notice is not None
    model.path.unlink()
    store_at(tmp_path, open_url=serving(NETWORK)).fetch("net")
    notes = [json.loads(line) for line in (tmp_path / "config" / "models.jsonl").read_text().splitlines()]
    assert [(note["kind"], note["subject"]) for note in notes] == [("licence", "study-only")]
    assert notes[0]["user"]
    assert notes[0]["noted_at"].endswith("+00:00")


def test_a_file_in_the_users_folder_is_usable_without_accepting_and_gives_notice(tmp_path: Path) -> None:
    write(tmp_path / "catalogue", "net", fetched_manifest(NETWORK, file="net.onnx", licence="study-only"))
    own = tmp_path / "own"
    own.mkdir()
    (own / "net.onnx").write_bytes(NETWORK)
    notice = store_at(tmp_path, own=own).resolve("net").notice
    assert notice is not None
    assert "study-only" in notice


def test_a_manifest_in_the_users_folder_adds_a_network_with_no_code(tmp_path: Path) -> None:
    own = tmp_path / "own"
    write(own, "mine", fetched_manifest(NETWORK, file="mine.onnx"))
    (own / "mine.onnx").write_bytes(NETWORK)
    store = store_at(tmp_path, own=own)
    assert store.names() == ("mine",)
    assert store.resolve("mine").path == own / "mine.onnx"


def test_two_manifests_of_the_same_name_are_both_reported(tmp_path: Path) -> None:
    write(tmp_path / "catalogue", "net", DETECTOR)
    write(tmp_path / "own", "net", DETECTOR)
    with pytest.raises(ModelError, match=r"catalogue/net.toml and .*own/net.toml"):
        store_at(tmp_path, own=tmp_path / "own").manifest("net")


def test_an_invalid_manifest_affects_no_other_network(tmp_path: Path) -> None:
    write(tmp_path / "catalogue", "net", fetched_manifest(NETWORK, file="net.onnx"))
    write(tmp_path / "config" / "models", "broken", "task = 7")
    store = store_at(tmp_path, open_url=serving(NETWORK))
    assert store.name_of(store.fetch("net").sha256) == "net"
    with pytest.raises(ModelError, match=r"broken.toml"):
        store.manifest("broken")


def test_without_a_sha256_only_an_import_makes_a_network_usable(tmp_path: Path) -> None:
    write(tmp_path / "catalogue", "finder", DETECTOR)
    own = tmp_path / "own"
    own.mkdir()
    (own / "finder.onnx").write_bytes(NETWORK)
    store = store_at(tmp_path, own=own)
    with pytest.raises(ModelError, match="no sha256 in its manifest: confirm the file with `pylfr models import"):
        store.resolve("finder")
    (model,) = store.import_path(own / "finder.onnx")
    assert model.sha256 == hashlib.sha256(NETWORK).hexdigest()
    (own / "finder.onnx").write_bytes(b"another")
    with pytest.raises(ModelError, match="altered"):
        store_at(tmp_path, own=own).resolve("finder")


def test_a_network_is_imported_by_its_hash_whatever_its_name(tmp_path: Path) -> None:
    write(tmp_path / "catalogue", "net", fetched_manifest(NETWORK, file="net.onnx"))
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "final(1).onnx").write_bytes(NETWORK)
    (tmp_path / "downloads" / "unknown.onnx").write_bytes(b"?")
    (model,) = store_at(tmp_path).import_path(tmp_path / "downloads")
    assert (model.manifest.name, model.path.name) == ("net", "net.onnx")


def test_all_known_networks_of_an_archive_are_imported(tmp_path: Path) -> None:
    write(tmp_path / "catalogue", "one", fetched_manifest(b"first", file="one.onnx", licence="study-only"))
    write(tmp_path / "catalogue", "two", fetched_manifest(b"second", file="two.onnx", licence="study-only"))
    (tmp_path / "pack.zip").write_bytes(zipped(a=b"first", b=b"second", c=b"third!"))
    store = store_at(tmp_path)
    with pytest.raises(LicenceError):
        store.import_path(tmp_path / "pack.zip")
    assert files_in(tmp_path / "cache") == []
    models = store.import_path(tmp_path / "pack.zip", accept_licence="study-only")
    assert [model.manifest.name for model in models] == ["one", "two"]
    assert files_in(tmp_path / "cache") == ["one.onnx", "two.onnx"]


@pytest.mark.parametrize("name", ["nothing-here", "empty", "text.onnx"])
def test_an_import_without_a_known_network_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path / "catalogue", "net", fetched_manifest(NETWORK, file="net.onnx"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ModelError, match=r"does not exist|contains no network with a known"):
        store_at(tmp_path).import_path(tmp_path / name)


def test_an_empty_variable_counts_as_unset(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYLFR_MODELS", "")
    store = open_store()
    assert store.places.own is None
    assert store.places.cache.is_relative_to(home)
    assert list(home.iterdir()) == [], "opening a store writes nothing"


def test_a_variable_that_is_not_a_folder_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYLFR_MODELS", str(home / "typo"))
    with pytest.raises(ModelError, match=r"PYLFR_MODELS must be a folder of networks, got .*typo"):
        open_store()


def test_a_damaged_ledger_is_named(tmp_path: Path) -> None:
    write(tmp_path / "catalogue", "comparer", EMBEDDER)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "models.jsonl").write_text("nonsense\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "comparer.onnx").write_bytes(NETWORK)
    with pytest.raises(ModelError, match=r"models.jsonl is damaged"):
        store_at(tmp_path, own=tmp_path / "own").resolve("comparer")
