"""An alert that travels is the same alert."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from pylfr.cluster.packed_alert import pack_alert, unpack_alert
from pylfr.types import Alert
from tests.samples import sample_alert


@pytest.mark.parametrize("scene", [None, np.arange(48, dtype=np.uint8).reshape(4, 4, 3)])
def test_every_field_and_every_pixel_arrives(scene: np.ndarray | None) -> None:
    sent = replace(sample_alert(), scene=scene)
    got = unpack_alert(pack_alert(sent))
    for field in fields(Alert):
        one, other = getattr(sent, field.name), getattr(got, field.name)
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other, field.name


def test_what_is_no_alert_is_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack_alert(b"PK\3\4 nothing")
