"""A runtime is chosen by name or refused with the reason."""

from __future__ import annotations

import pytest

from pylfr.errors import ConfigError, CudaError
from pylfr.models.store import open_store
from pylfr.runtimes import choose
from pylfr.runtimes.choose import open_runtime


def test_an_unknown_runtime_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigError, match="one of onnx, tensorrt, tensorrt-rtx, torch"):
        open_runtime(open_store().resolve("pylfr_nano_embed"), runtime="onyx")


def test_a_runtime_that_is_not_installed_is_refused_and_nothing_takes_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choose, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"install pylfr\[torch\]"):
        open_runtime(open_store().resolve("pylfr_nano_embed"), runtime="torch")


def test_onnxruntime_refuses_cuda() -> None:
    with pytest.raises(CudaError, match="cuda"):
        open_runtime(open_store().resolve("pylfr_nano_embed"), runtime="onnx", device="cuda")
