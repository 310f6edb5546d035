from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from pylfr.errors import LicenceError, ModelError
from pylfr.models.bundle import write_bundle
from pylfr.models.store import ModelStore, Places
from tests.models.manifests import EMBEDDER, fetched_manifest, write
from tests.models.test_store import NETWORK


def machine(folder: Path, *, licence: str | None = None) -> ModelStore:
    write(folder / "catalogue", "net", fetched_manifest(NETWORK, file="net.onnx", licence=licence))
    return ModelStore(
        Places(catalogue=folder / "catalogue", own=None, cache=folder / "cache", config=folder / "config")
    )


def with_network(folder: Path, *, licence: str | None = None) -> ModelStore:
    store = machine(folder, licence=licence)
    (folder / "cache").mkdir()
    (folder / "cache" / "net.onnx").write_bytes(NETWORK)
    return store


def test_a_bundle_carries_networks_to_a_machine_without_internet(tmp_path: Path) -> None:
    write_bundle(with_network(tmp_path / "here"), ["net", "net"], tmp_path / "networks.zip")
    with zipfile.ZipFile(tmp_path / "networks.zip") as archive:
        assert archive.namelist() == ["README.txt", "net.onnx"]
        assert b"licence MIT" in archive.read("README.txt")
    (model,) = machine(tmp_path / "there").import_path(tmp_path / "networks.zip")
    assert model.path.read_bytes() == NETWORK


def test_a_restricted_licence_is_accepted_on_both_machines(tmp_path: Path) -> None:
    here, bundle = with_network(tmp_path / "here", licence="Research-Only"), tmp_path / "networks.zip"
    with pytest.raises(LicenceError, match=r"--accept-licence Research-Only"):
        write_bundle(here, ["net"], bundle)
    write_bundle(here, ["net"], bundle, accept_licence="Research-Only")
    with pytest.raises(LicenceError, match=r"--accept-licence Research-Only"):
        machine(tmp_path / "there", licence="Research-Only").import_path(bundle)


def test_what_does_not_belong_into_a_bundle_is_refused_in_words(tmp_path: Path) -> None:
    store, bundle = with_network(tmp_path), tmp_path / "networks.zip"
    (tmp_path / "cache" / "net.onnx").write_bytes(NETWORK + b"!")
    with pytest.raises(ModelError, match=r"must have sha256"):
        write_bundle(store, ["net"], bundle)
    write(tmp_path / "config" / "models", "mine", EMBEDDER)
    (tmp_path / "cache" / "comparer.onnx").write_bytes(NETWORK)
    store.import_path(tmp_path / "cache" / "comparer.onnx")
    with pytest.raises(ModelError, match=r"mine has a manifest of yours"):
        write_bundle(store, ["mine"], bundle)
    write(tmp_path / "catalogue", "ours", fetched_manifest(NETWORK, file="comparer.onnx") + "")
    text = (tmp_path / "catalogue" / "ours.toml").read_text().replace("[source]", "[source]\nshipped = true", 1)
    (tmp_path / "catalogue" / "ours.toml").write_text(text)
    with pytest.raises(ModelError, match=r"ours ships with pylfr"):
        write_bundle(store, ["ours"], bundle)
    assert not bundle.exists()
