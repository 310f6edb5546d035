"""A cached engine is returned as it was stored, or refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pylfr.errors import ModelError
from pylfr.runtimes.tensorrt.engine_cache import EngineCache, EngineName

NAME = EngineName(model="a" * 64, library="made up 1", target="SM89", precision="fp32", shapes="640x384:1,8,16")
ENGINE = b"an engine"


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines", tmp_path / "keys" / "engine.key")


def test_a_stored_engine_is_read_back(cache: EngineCache, tmp_path: Path) -> None:
    assert cache.read(NAME) is None
    cache.write(NAME, ENGINE)
    assert cache.read(NAME) == ENGINE
    assert [path.name for path in (tmp_path / "engines").iterdir()] == [NAME.file]
    for path in (tmp_path / "engines" / NAME.file, tmp_path / "keys" / "engine.key"):
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("field", [each.name for each in dataclasses.fields(EngineName)])
def test_an_engine_is_found_only_under_its_full_name(cache: EngineCache, field: str) -> None:
    cache.write(NAME, ENGINE)
    assert cache.read(dataclasses.replace(NAME, **{field: "another"})) is None


@pytest.mark.parametrize("place", [0, 31, 32, -1])
def test_a_tampered_engine_is_refused(cache: EngineCache, tmp_path: Path, place: int) -> None:
    cache.write(NAME, ENGINE)
    path = tmp_path / "engines" / NAME.file
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="must carry this user's seal"):
        cache.read(NAME)


def test_an_engine_under_another_name_is_refused(cache: EngineCache, tmp_path: Path) -> None:
    cache.write(NAME, ENGINE)
    other = dataclasses.replace(NAME, target="SM120")
    (tmp_path / "engines" / NAME.file).rename(tmp_path / "engines" / other.file)
    with pytest.raises(ModelError, match="must carry this user's seal"):
        cache.read(other)


@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_cut_engine_is_refused(cache: EngineCache, tmp_path: Path, content: bytes) -> None:
    cache.write(NAME, ENGINE)
    (tmp_path / "engines" / NAME.file).write_bytes(content)
    with pytest.raises(ModelError, match="must carry this user's seal"):
        cache.read(NAME)


def test_a_key_that_others_can_read_is_refused(cache: EngineCache, tmp_path: Path) -> None:
    cache.write(NAME, ENGINE)
    (tmp_path / "keys" / "engine.key").chmod(0o640)
    with pytest.raises(ModelError, match="mode 600, got 640"):
        cache.read(NAME)
