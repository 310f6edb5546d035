"""A network without PRelu gives what it gave with it; what cannot be known beforehand stays as it is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from pylfr.models.prelu import spell_out_prelu
from pylfr.models.store import open_store, read_verified
from pylfr.runtimes.onnx import open_onnx, open_onnx_bytes
from tests.models.test_last_layer import RNG, network, node, numbers, tensor, weights
from tests.models.test_onnx_file import model, number, part

SHAPE = ("N", 3, 4, 4)


def activated(slopes: bytes) -> bytes:
    """A convolution, whose outputs have both signs, and what comes of it."""
    graph = weights("w", numbers(3, 3, 1, 1)) + node("Conv", "in w", "x") + slopes
    return model(graph + part(2, "made up") + tensor(11, "in", *SHAPE) + tensor(12, "y", *SHAPE))


SPELLED_OUT: Mapping[str, bytes] = {
    "one slope": weights("s", numbers(1, 1, 1)) + node("PRelu", "x s", "y"),
    "one slope a channel": weights("s", numbers(3, 1, 1)) + node("PRelu", "x s", "y"),
    "slopes above one": weights("s", 3 * np.abs(numbers(3, 1, 1)) + 1) + node("PRelu", "x s", "y"),
    "slopes for a batch of one, as a list": weights("s", numbers(1, 3, 1, 1), packed=True) + node("PRelu", "x s", "y"),
    "two in a row": weights("s", numbers(3, 1, 1)) + weights("t", numbers(3, 1, 1)) + node("PRelu", "x s", "z")
    + node("PRelu", "z t", "y"),
}  # fmt: skip
AS_IT_IS: Mapping[str, bytes] = {
    "a slope a column": weights("s", numbers(4)) + node("PRelu", "x s", "y"),
    "a slope a number": weights("s", numbers(3, 4, 4)) + node("PRelu", "x s", "y"),
    "slopes that are computed": weights("r", numbers(3, 1, 1)) + node("Relu", "r", "s") + node("PRelu", "x s", "y"),
    "no PRelu": node("Relu", "x", "y"),
}


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", SPELLED_OUT)
def test_without_prelu_a_network_gives_the_same(name: str, batch: int) -> None:
    content, given = activated(SPELLED_OUT[name]), numbers(batch, 3, 4, 4)
    written = spell_out_prelu(content)
    assert b"PRelu" in content
    assert b"PRelu" not in written
    [wanted], [found] = (open_onnx_bytes(each, name="made up").run(given).values() for each in (content, written))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", AS_IT_IS)
def test_what_is_no_function_of_a_channel_or_not_known_stays_as_it_is(name: str) -> None:
    content = activated(AS_IT_IS[name])
    assert spell_out_prelu(content) == content


@pytest.mark.parametrize("name", ["face_reid_0095", "mobilefacenet_y1"])
def test_an_embedder_runs_without_prelu_and_gives_the_same(name: str, models_dir: object) -> None:
    found = open_store().resolve(name)
    content = read_verified(found)
    side = found.manifest.embedding.side_px
    given = 255 * RNG.random((2, 3, side, side), np.float32)
    assert b"PRelu" in content
    assert b"PRelu" not in spell_out_prelu(content)
    [wanted], [made] = (
        runtime.run(given).values() for runtime in (open_onnx_bytes(content, name=name), open_onnx(found))
    )
    np.testing.assert_allclose(made, wanted, atol=1e-5 * float(np.abs(wanted).max()))


DAMAGED: Mapping[str, bytes] = {
    "cut off": activated(SPELLED_OUT["one slope"])[:-5],
    "no graph": b"",
    "nodes without what they need": network(node("PRelu", "x", "y") + node("PRelu", "", "y")),
    "two outputs": network(weights("s", numbers(1)) + part(1, part(1, "x") + part(1, "s") + part(2, "y") + part(2, "z")
    + part(4, "PRelu"))),
    "a name that is no text": network(weights("s", numbers(1)) + part(1, part(1, b"\xff") + part(1, "s")
    + part(2, "y") + part(4, "PRelu"))),
    "slopes of no numbers": network(part(5, number(1, 0) + number(2, 1) + part(8, "s")) + node("PRelu", "x s", "y")),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_network_is_left_to_the_runtime(name: str) -> None:
    assert spell_out_prelu(DAMAGED[name]) == DAMAGED[name]
