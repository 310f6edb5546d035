from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

# Missing where the extra is not installed: then all of these tests say so.
pytest.importorskip("fastapi", reason='the service needs pip install "pylfr[service]"')
pytest.importorskip("httpx", reason="the service is tested with httpx")

from tests.service.stand import Stand, standing


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with standing(tmp_path) as made:
        yield made
