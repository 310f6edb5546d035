"""The material that the documentation talks about: the street that ``make demo`` renders, shorter."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.demo import render_street


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with street.mp4, collins.jpg, hopper.jpg and group.jpg, as ``make demo`` leaves them in demo/."""
    pytest.importorskip("skimage", reason="the portraits come with scikit-image: pip install --group demo")
    folder = tmp_path_factory.mktemp("street")
    render_street(folder, seconds=6.0)
    return folder
