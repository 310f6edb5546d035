"""Without a name, the choice follows the installed networks, and gives its reason."""

from __future__ import annotations

from pathlib import Path

from pylfr.models.default import choose
from pylfr.models.store import ModelStore, Places, open_store


def store_with(folder: Path, *files: str) -> ModelStore:
    """The shipped catalogue with these files and no other."""
    own = folder / "own"
    own.mkdir()
    for file in files:
        (own / file).write_bytes(b"not looked into")
    return ModelStore(
        Places(catalogue=open_store().places.catalogue, own=own, cache=folder / "cache", config=folder / "config")
    )


def test_a_named_network_is_used_as_named(tmp_path: Path) -> None:
    assert choose("detect", "anything", store_with(tmp_path)).name == "anything"


def test_the_strongest_installed_network_is_chosen_and_the_reason_names_it(tmp_path: Path) -> None:
    choice = choose("detect", None, store_with(tmp_path, "yunet_n.onnx"))
    assert choice.name == "yunet_n"
    assert "--detector names another" in choice.reason


def test_without_any_the_shipped_one_is_chosen_and_the_reason_names_what_is_missing(tmp_path: Path) -> None:
    choice = choose("embed", None, store_with(tmp_path, "pylfr_nano_embed.onnx"))
    assert choice.name == "pylfr_nano_embed"
    assert "face_reid_0095 not installed" in choice.reason
