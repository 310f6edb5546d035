"""TensorRT-RTX reads the networks and builds fp16 engines for GPUs that this machine does not have."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from pylfr.errors import ConfigError, ModelError
from pylfr.models.store import open_store
from pylfr.runtimes.tensorrt.build import RtxTarget, ShapeProfile, engine_of, open_library, profile_of
from pylfr.runtimes.tensorrt.engine_cache import EngineCache

REAL = ["yunet_n", "scrfd_500m_kps", "face_reid_0095", "mobilefacenet_y1"]
SHIPPED = ["pylfr_nano_detect", "pylfr_nano_embed"]


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines", tmp_path / "engine.key")


@pytest.fixture
def rtx() -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed: make rtx")
    pytest.importorskip("onnx", reason="onnx is not installed: make rtx")


class Heard:
    def __init__(self) -> None:
        self.phases: list[str] = []
        self.steps = 0

    def began(self, phase: str, within: str | None, steps: int) -> None:
        self.phases.append(phase)

    def stepped(self, phase: str, step: int) -> bool:
        self.steps += 1
        return True

    def ended(self, phase: str) -> None: ...


def build(name: str, target: str, cache: EngineCache, heard: Heard | None = None) -> bytes:
    model = open_store().resolve(name)
    library = open_library("tensorrt-rtx")
    profile = profile_of(model.manifest, side_px=640)
    return engine_of(library, model, profile, target=target, precision="fp16", cache=cache, progress=heard)


@pytest.mark.usefixtures("models_dir", "rtx")
@pytest.mark.parametrize("target", get_args(RtxTarget))
@pytest.mark.parametrize("name", REAL)
def test_fp16_engines_are_built_without_a_gpu_and_cached(name: str, target: str, cache: EngineCache) -> None:
    built = build(name, target, cache)
    assert len(built) > 50_000
    assert build(name, target, cache) == built


@pytest.mark.usefixtures("rtx")
@pytest.mark.parametrize("target", get_args(RtxTarget))
@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_networks_are_built_too(name: str, target: str, cache: EngineCache) -> None:
    assert len(build(name, target, cache)) > 50_000


@pytest.mark.usefixtures("rtx")
def test_a_builds_progress_is_logged_and_never_printed(cache: EngineCache, capfd: pytest.CaptureFixture[str]) -> None:
    heard = Heard()
    build("pylfr_nano_embed", "SM89", cache, heard)
    assert heard.phases
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("rtx")
def test_a_tampered_engine_is_refused_and_not_built_again(cache: EngineCache, tmp_path: Path) -> None:
    build("pylfr_nano_embed", "SM89", cache)
    for engine in (tmp_path / "engines").iterdir():
        engine.write_bytes(engine.read_bytes()[:-1] + b"!")
    with pytest.raises(ModelError, match="must carry this user's seal"):
        build("pylfr_nano_embed", "SM89", cache)


def test_an_unknown_library_is_refused() -> None:
    with pytest.raises(ConfigError, match="one of tensorrt, tensorrt-rtx"):
        open_library("tensor")


@pytest.mark.parametrize(("usual", "most"), [(0, 1), (2, 1)])
def test_an_invalid_profile_is_refused(usual: int, most: int) -> None:
    with pytest.raises(ValueError, match="1 <= least <= usual <= most"):
        ShapeProfile.of_size(width=64, height=64, usual=usual, most=most)


def test_profiles_follow_the_manifests() -> None:
    store = open_store()
    embed, detect = (store.manifest(name) for name in ("mobilefacenet_y1", "yunet_n"))
    one = store.manifest("scrfd_10g")
    assert profile_of(embed, usual=8, most=64).most == (64, 3, 112, 112)
    assert profile_of(detect, side_px=640) == ShapeProfile(
        least=(1, 3, 32, 32), usual=(8, 3, 384, 640), most=(32, 3, 640, 640)
    )
    assert profile_of(one).most[0] == 1
