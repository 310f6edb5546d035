"""Outputs that do not match a detector's head are refused by name; native decoding is tested in tests/native."""

from __future__ import annotations

import numpy as np
import pytest

from pylfr.errors import ModelError
from pylfr.faces.heads import decode, split_head
from pylfr.models.store import open_store
from pylfr.types import Float32


def outputs_of_yunet(side: int) -> dict[str, Float32]:
    """Outputs of the right shapes for a picture of ``side`` x ``side``, all zero: no face."""
    widths = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    return {
        f"{kind}_{stride}": np.zeros((1, (side // stride) ** 2, width), np.float32)
        for kind, width in widths.items()
        for stride in (8, 16, 32)
    }


def test_outputs_without_a_face_give_empty_arrays() -> None:
    manifest = open_store().manifest("yunet_n")
    raw = decode(manifest, outputs_of_yunet(64), width=64, height=64, score_floor=0.5)
    assert raw.boxes.shape == (0, 4)
    assert raw.landmarks.shape == (0, 5, 2)


def test_a_missing_output_is_named() -> None:
    outputs = outputs_of_yunet(64)
    del outputs["kps_16"]
    with pytest.raises(ModelError, match="the outputs of yunet_n do not match its head 'yunet': kps_16 is missing"):
        split_head(open_store().manifest("yunet_n"), outputs)


def test_outputs_of_another_size_are_refused_with_their_shapes() -> None:
    with pytest.raises(ModelError, match=r"do not match its head 'yunet' .*'cls_8': \[1, 64, 1\]"):
        decode(open_store().manifest("yunet_n"), outputs_of_yunet(64), width=96, height=96, score_floor=0.5)


def test_the_wrong_number_of_outputs_of_scrfd_is_refused() -> None:
    outputs = {str(number): np.zeros((1, 4, 1), np.float32) for number in range(8)}
    with pytest.raises(ModelError, match="an scrfd head has 9 outputs for 3 strides, this network has 8"):
        split_head(open_store().manifest("scrfd_500m_kps"), outputs)


def test_an_embedder_has_no_such_head() -> None:
    manifest = open_store().manifest("pylfr_nano_embed")
    with pytest.raises(ModelError, match="name one for 'detect'"):
        decode(manifest, {}, width=64, height=64, score_floor=0.5)
    with pytest.raises(ModelError, match="must have one of the heads yunet, scrfd, got 'template'"):
        split_head(manifest, {})
