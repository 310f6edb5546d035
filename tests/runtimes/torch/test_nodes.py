"""What suits a GPU better gives the same answers: here on the CPU, where PyTorch is installed."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: make torch")

import torch

from pylfr.runtimes.torch.nodes import Node, fused, padded
from pylfr.runtimes.torch.operators import OPERATORS

PLAIN = {"pads": [1, 1, 1, 1], "strides": [1, 1]}
NODES = (
    Node(operator="Conv", inputs=("x", "w0", "b0"), output="c0", attributes={**PLAIN, "strides": [2, 2]}),
    Node(operator="Relu", inputs=("c0",), output="r0", attributes={}),
    Node(operator="Conv", inputs=("r0", "w1", "b1"), output="c1", attributes=PLAIN),
    Node(operator="Relu", inputs=("c1",), output="r1", attributes={}),
    Node(operator="Conv", inputs=("r1", "w2", "b2"), output="c2", attributes={**PLAIN, "group": 8}),
    Node(operator="Relu", inputs=("c2",), output="r2", attributes={}),
    Node(operator="Conv", inputs=("r2", "w3", ""), output="c3", attributes={**PLAIN, "pads": [0, 1, 1, 0]}),
    Node(operator="Relu", inputs=("c3",), output="r3", attributes={}),
    Node(operator="Add", inputs=("c3", "r3"), output="out", attributes={}),
)


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    shapes = {"w0": (12, 3, 3, 3), "w1": (8, 12, 3, 3), "w2": (8, 1, 3, 3), "w3": (16, 8, 3, 3)}
    given = {name: torch.randn(shape) for name, shape in shapes.items()}
    return {**given, "b0": torch.randn(12), "b1": torch.randn(8), "b2": torch.randn(8)}


def run(nodes: tuple[Node, ...], given: dict[str, torch.Tensor]) -> torch.Tensor:
    torch.manual_seed(1)
    values = {**given, "x": torch.randn(2, 3, 20, 24)}
    for node in nodes:
        values[node.output] = OPERATORS[node.operator](
            node.attributes, [values[name] if name else None for name in node.inputs]
        )
    return values["out"]


def test_channels_between_convolutions_come_by_the_eight_and_answers_stay_the_same() -> None:
    given = weights()
    wider = padded(NODES, given, {"out"})
    assert (wider["w0"].shape, wider["b0"].shape, wider["w1"].shape) == ((16, 3, 3, 3), (16,), (8, 16, 3, 3))
    assert all(wider[name] is given[name] for name in ("w2", "b2", "w3"))
    torch.testing.assert_close(run(NODES, wider), run(NODES, given))


def test_what_is_an_output_or_read_by_others_keeps_its_channels() -> None:
    given = weights()
    for outputs in ({"out", "c0"}, {"out", "r0"}):
        assert padded(NODES, given, outputs)["w0"] is given["w0"]
    also_read = Node(operator="ReduceMean", inputs=("r0",), output="mean", attributes={"axes": [1]})
    assert padded((*NODES, also_read), given, {"out", "mean"})["w0"] is given["w0"]


def test_a_convolution_and_its_relu_are_one_step_where_nobody_reads_between() -> None:
    given = weights()
    nodes = fused(NODES, padded(NODES, given, {"out"}), {"out"})
    # The first has three channels to read, the third has groups, and what the last one makes is read twice.
    assert [node.operator for node in nodes] == ["Conv", "Relu", "ConvRelu", "Conv", "Relu", "Conv", "Relu", "Add"]
    assert [node.output for node in nodes][2] == "r1"
    torch.testing.assert_close(run(nodes, padded(NODES, given, {"out"})), run(NODES, given))
    assert "ConvRelu" not in [node.operator for node in fused(NODES, given, {"out", "c1", "c2"})]


# As IResNet has it: a convolution with PReLU, one with a shortcut, and one with both.
BLOCK = (
    Node(operator="Conv", inputs=("x", "w0", "b0"), output="c0", attributes=PLAIN),
    Node(operator="PRelu", inputs=("c0", "s0"), output="p0", attributes={}),
    Node(operator="Conv", inputs=("p0", "w1", ""), output="c1", attributes=PLAIN),
    Node(operator="Add", inputs=("p0", "c1"), output="a1", attributes={}),
    Node(operator="Conv", inputs=("a1", "w2", "b2"), output="c2", attributes={**PLAIN, "group": 8}),
    Node(operator="Add", inputs=("c2", "a1"), output="a2", attributes={}),
    Node(operator="PRelu", inputs=("a2", "s2"), output="p2", attributes={}),
    Node(operator="PRelu", inputs=("p2", "s0"), output="out", attributes={}),
)


def of_block() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    shapes = {"w0": (8, 3, 3, 3), "w1": (8, 8, 3, 3), "w2": (8, 1, 3, 3), "s0": (8, 1, 1), "s2": (8, 1, 1)}
    given = {name: torch.randn(shape) for name, shape in shapes.items()}
    return {**given, "b0": torch.randn(8), "b2": torch.randn(8)}


def test_a_convolution_takes_its_shortcut_and_its_prelu_along() -> None:
    given = of_block()
    nodes = fused(BLOCK, given, {"out"})
    assert [(node.operator, node.inputs[3:], node.output) for node in nodes] == [
        ("ConvFinish", ("", "s0"), "p0"),
        ("ConvFinish", ("p0", ""), "a1"),
        ("ConvFinish", ("a1", "s2"), "p2"),
        ("PRelu", (), "out"),
    ]
    assert torch.equal(run(nodes, given), run(BLOCK, given))


def test_what_others_read_or_what_does_not_fit_stays_a_step_of_its_own() -> None:
    given = of_block()
    nodes = fused(BLOCK, given, {"out", "c0", "a2"})
    assert [node.operator for node in nodes] == ["Conv", "PRelu", "ConvFinish", "ConvFinish", "PRelu", "PRelu"]
    given["s2"] = given["s2"][:1]
    assert [node.operator for node in fused(BLOCK, given, {"out"})][-2:] == ["PRelu", "PRelu"]
    seven = {**given, "w1": torch.randn(7, 8, 3, 3)}
    assert fused(BLOCK, seven, {"out"})[1] == BLOCK[2]


def test_a_shortcut_of_another_shape_is_added_as_onnx_says() -> None:
    given = of_block()
    nodes = (
        Node(operator="ReduceMean", inputs=("x",), output="m", attributes={"axes": [1, 2, 3]}),
        BLOCK[0],
        Node(operator="Add", inputs=("m", "c0"), output="out", attributes={}),
    )
    assert [node.operator for node in fused(nodes, given, {"out"})] == ["ReduceMean", "ConvFinish"]
    torch.testing.assert_close(run(fused(nodes, given, {"out"}), given), run(nodes, given))
