"""The bundle for a GPU machine: packages unpacked once, sizes said, and refused where it cannot travel."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

from benchmarks.gpu_bundle import MEBIBYTE, describe, pack_site, size_of_tree


def test_wheels_are_unpacked_into_one_archive(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in ("one", "two"):
        with zipfile.ZipFile(wheels / f"{name}-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/__init__.py", f"NAME = '{name}'\n")
            wheel.writestr(f"{name}-1.dist-info/METADATA", f"Name: {name}\n")
    pack_site(wheels, tmp_path / "site.tar.xz")
    with tarfile.open(tmp_path / "site.tar.xz") as site:
        assert {"one/__init__.py", "two/__init__.py", "one-1.dist-info/METADATA"} <= set(site.getnames())


def test_the_bundle_says_what_it_holds_and_is_refused_where_it_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "_core.so").write_bytes(bytes(3 * MEBIBYTE))
    text = describe(tmp_path, tree=2 * MEBIBYTE, most_mebibytes=6)
    assert "3.0 MiB  core/_core.so" in text
    assert "5.0 MiB  together, of 6 at most" in text
    with pytest.raises(SystemExit, match=r"must stay within 4 MiB, got 5\.0: leave a network or a clip out"):
        describe(tmp_path, tree=2 * MEBIBYTE, most_mebibytes=4)


def test_the_tree_itself_leaves_room_for_the_bundle() -> None:
    assert size_of_tree() < 16 * MEBIBYTE
