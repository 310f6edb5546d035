"""Where the tests find real networks and real footage; a test that has none says so and is skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def _folder_from(variable: str, holds: str) -> Path:
    value = os.environ.get(variable, "")
    if not value:
        pytest.skip(f"{variable} is not set: no {holds} to test with")
    folder = Path(value).resolve()
    if not folder.is_dir():
        pytest.fail(f"{variable} must be a folder of {holds}, got {value}")
    return folder


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The folder of real networks."""
    return _folder_from("PYLFR_MODELS", "networks")


@pytest.fixture(scope="session")
def media_dir() -> Path:
    """The folder of real footage and photographs."""
    return _folder_from("PYLFR_MEDIA", "footage")
