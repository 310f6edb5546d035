"""Where the tests find real networks and real footage; a test that has none says so and is skipped."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import pylfr.runtimes  # noqa: F401 - switches telemetry off before a test imports onnxruntime or OpenVINO itself
from pylfr import ops
from pylfr.errors import CudaError


def _folder_from(variable: str, holds: str) -> Path:
    value = os.environ.get(variable, "")
    if not value:
        pytest.skip(f"{variable} is not set: no {holds} to test with")
    folder = Path(value).resolve()
    if not folder.is_dir():
        pytest.fail(f"{variable} must be a folder of {holds}, got {value}")
    return folder


@pytest.fixture(autouse=True)
def the_log_as_it_was() -> Iterator[None]:
    """Commands that tests run in this process set levels; the next test finds them as they were."""
    before = _levels()
    yield
    for name, level in _levels().items():
        if level != before.get(name, logging.NOTSET):
            logging.getLogger(name).setLevel(before.get(name, logging.NOTSET))


def _levels() -> dict[str, int]:
    known = list(logging.Logger.manager.loggerDict)
    return {name: logging.getLogger(name).level for name in known if name.partition(".")[0] == "pylfr"}


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The folder of real networks."""
    return _folder_from("PYLFR_MODELS", "networks")


@pytest.fixture(scope="session")
def media_dir() -> Path:
    """The folder of real footage and photographs."""
    return _folder_from("PYLFR_MEDIA", "footage")


@pytest.fixture(scope="session")
def cases_dir() -> Path:
    """The folder of small recordings that went wrong once."""
    return _folder_from("PYLFR_CASES", "cases")


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with street.mp4, collins.jpg, hopper.jpg and group.jpg, as ``make demo`` leaves them in demo/."""
    pytest.importorskip("skimage", reason="the portraits come with scikit-image: pip install --group demo")
    from examples.demo import render_street

    folder = tmp_path_factory.mktemp("street")
    render_street(folder, seconds=6.0)
    return folder


def why_not_cuda() -> str | None:
    """Why tests marked ``cuda`` cannot run here; None where they can."""
    try:
        ops.require_device("cuda")
    except CudaError as error:
        return str(error)
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a CUDA device where there is none; fail it where a device was promised."""
    if item.get_closest_marker("cuda") is None or (reason := why_not_cuda()) is None:
        return
    if os.environ.get("PYLFR_REQUIRE_CUDA") == "1":
        pytest.fail(f"PYLFR_REQUIRE_CUDA=1, but {reason}", pytrace=False)
    pytest.skip(reason)
