"""TensorRT-RTX reads the networks and builds engines for GPUs that this machine has not."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from pylfr.errors import ConfigError, ModelError
from pylfr.models.store import open_store
from pylfr.runtimes import tensorrt
from pylfr.runtimes.engine_cache import EngineCache
from pylfr.runtimes.tensorrt import Profile, RtxTarget, open_library, rtx_engine

NETWORKS = {
    "yunet_n": Profile(width=640, height=384, usual=8, most=16),
    "scrfd_500m_kps": Profile(width=640, height=384, usual=8, most=16),
    "face_reid_0095": Profile(width=128, height=128, usual=8, most=32),
    "mobilefacenet_y1": Profile(width=112, height=112, usual=8, most=32),
}


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines", tmp_path / "engine.key")


@pytest.fixture
def rtx() -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed: make rtx")


@pytest.mark.usefixtures("models_dir", "rtx")
@pytest.mark.parametrize("target", get_args(RtxTarget))
@pytest.mark.parametrize("name", NETWORKS)
def test_engines_are_built_without_a_gpu_and_kept(name: str, target: RtxTarget, cache: EngineCache) -> None:
    model = open_store().resolve(name)
    built = rtx_engine(model, NETWORKS[name], target=target, cache=cache)
    assert len(built) > 100_000
    assert rtx_engine(model, NETWORKS[name], target=target, cache=cache) == built


@pytest.mark.usefixtures("models_dir", "rtx")
def test_a_tampered_engine_is_refused_and_not_built_again(cache: EngineCache, tmp_path: Path) -> None:
    model, profile = open_store().resolve("yunet_n"), NETWORKS["yunet_n"]
    rtx_engine(model, profile, target="SM89", cache=cache)
    (engine,) = (tmp_path / "engines").iterdir()
    engine.write_bytes(engine.read_bytes()[:-1] + b"!")
    with pytest.raises(ModelError, match="must carry this user's seal"):
        rtx_engine(model, profile, target="SM89", cache=cache)


def test_a_library_that_is_not_installed_is_refused_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"install pylfr\[rtx\]"):
        open_library()


@pytest.mark.parametrize(("usual", "most"), [(0, 1), (2, 1)])
def test_a_profile_that_makes_no_sense_is_refused(usual: int, most: int) -> None:
    with pytest.raises(ValueError, match="1 <= usual <= most"):
        Profile(width=64, height=64, usual=usual, most=most)
