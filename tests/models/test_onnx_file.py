"""Files made byte by byte, as no exporter would write them: whatever needs more than its own bytes is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pylfr.errors import ModelError
from pylfr.models.manifest import read_manifest
from pylfr.models.onnx_file import require_self_contained
from pylfr.models.store import Model, open_store, read_verified
from pylfr.runtimes.registry import open_runtime
from tests.models.manifests import DETECTOR, write


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def part(field: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def node(operator: str, *, domain: str = "", attribute: bytes = b"") -> bytes:
    return part(3, f"the {operator}") + part(4, operator) + (part(7, domain) if domain else b"") + attribute


def tensor(*, location: str | None = None) -> bytes:
    """The float32 weights 0.0, or weights that are somewhere else."""
    plain = number(1, 1) + number(2, 1) + part(8, "weights")
    if location is None:
        return plain + part(9, bytes(4))
    return plain + part(13, part(1, "location") + part(2, location)) + number(14, 1)


def model(graph: bytes, *, more: bytes = b"") -> bytes:
    return number(1, 8) + part(8, number(2, 17)) + part(7, graph) + more


PLAIN = model(part(1, node("Relu")) + part(5, tensor()))


def refusal(content: bytes) -> str:
    with pytest.raises(ModelError) as caught:
        require_self_contained(content, name="net.onnx")
    assert str(caught.value).startswith("net.onnx ")
    return str(caught.value)


def test_a_self_contained_file_is_accepted() -> None:
    require_self_contained(PLAIN, name="net.onnx")


@pytest.mark.parametrize("name", open_store().names())
def test_installed_networks_of_the_catalogue_are_accepted(name: str) -> None:
    path = open_store().find(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    require_self_contained(path.read_bytes(), name=name)


@pytest.mark.parametrize("location", ["../../etc/passwd", "/etc/passwd", "weights.bin"])
def test_external_weights_are_refused_whatever_their_location(location: str) -> None:
    said = refusal(model(part(1, node("Relu")) + part(5, tensor(location=location))))
    assert "stores the weights 'weights' in another file" in said


OUTSIDE = tensor(location="../../etc/passwd")
HIDING_PLACES = {
    "a constant": part(1, node("Constant", attribute=part(5, part(5, OUTSIDE)))),
    "a list of constants": part(1, node("Constant", attribute=part(5, part(10, OUTSIDE)))),
    "the values of sparse weights": part(15, part(1, OUTSIDE)),
    "the places of sparse weights": part(15, part(2, OUTSIDE)),
    "a sparse constant": part(1, node("Constant", attribute=part(5, part(22, part(1, OUTSIDE))))),
    "a branch": part(1, node("If", attribute=part(5, part(6, part(5, OUTSIDE))))),
    "a branch of a branch": part(
        1, node("If", attribute=part(5, part(11, part(1, node("If", attribute=part(5, part(6, part(5, OUTSIDE))))))))
    ),
    "a location that says nothing": part(5, number(2, 1) + part(8, "weights") + number(14, 1)),
    "an entry without a location": part(5, number(2, 1) + part(8, "weights") + part(13, part(1, "location"))),
}


@pytest.mark.parametrize("place", HIDING_PLACES)
def test_external_weights_are_found_in_every_part_of_a_file(place: str) -> None:
    assert "in another file" in refusal(model(HIDING_PLACES[place]))


def test_external_weights_are_found_in_functions_and_in_training() -> None:
    constant = node("Constant", attribute=part(5, part(5, OUTSIDE)))
    for more in (part(25, part(1, "mine") + part(7, constant)), part(20, part(1, part(1, constant)))):
        assert "in another file" in refusal(model(part(1, node("Relu")), more=more))


@pytest.mark.parametrize(
    "domain", ["com.example", "ai.onnx.contrib", "ai.onnx.ml.mine", "trt.plugins", "\N{MICRO SIGN}"]
)
def test_an_operator_of_another_domain_is_refused_by_name(domain: str) -> None:
    said = refusal(model(part(1, node("RunThis", domain=domain))))
    assert f"uses the operator 'RunThis' of {domain!r} (node 'the RunThis')" in said


def test_an_operator_of_another_domain_is_found_in_a_branch() -> None:
    inner = part(1, node("RunThis", domain="com.example"))
    assert "'com.example'" in refusal(model(part(1, node("If", attribute=part(5, part(6, inner))))))


@pytest.mark.parametrize("domain", ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"])
def test_operators_of_the_standard_and_of_onnxruntime_are_accepted(domain: str) -> None:
    require_self_contained(model(part(1, node("FusedConv", domain=domain))), name="net.onnx")


def test_the_operator_that_opens_a_file_is_refused() -> None:
    assert "'EPContext'" in refusal(model(part(1, node("EPContext", domain="com.microsoft"))))


def test_a_function_is_an_operator_that_the_file_defines_itself() -> None:
    graph = part(1, node("Mine", domain="com.example"))
    body = part(1, "Mine") + part(10, "com.example") + part(7, node("Relu"))
    require_self_contained(model(graph, more=part(25, body)), name="net.onnx")
    assert "'Mine'" in refusal(model(graph, more=part(25, part(1, "Other") + part(10, "com.example"))))
    hidden = part(7, node("RunThis", domain="com.example"))
    assert "'RunThis'" in refusal(model(graph, more=part(25, body + hidden)))


def test_the_last_of_two_domains_counts_as_for_every_reader_of_protobuf() -> None:
    twice = node("RunThis") + part(7, "ai.onnx") + part(7, "com.example")
    assert "'com.example'" in refusal(model(part(1, twice)))


@pytest.mark.parametrize("length", range(1, len(PLAIN)))
def test_a_file_truncated_anywhere_is_refused(length: int) -> None:
    said = refusal(PLAIN[:length])
    assert "is not a complete ONNX file" in said
    assert "get it again" in said


@pytest.mark.parametrize("content", [b"", b"<?xml version='1.0'?><net/>", b"\x18\0\0\0ORTM" + bytes(64), b"\xff" * 64])
def test_bytes_that_are_not_an_onnx_file_are_refused(content: bytes) -> None:
    assert "is not a complete ONNX file" in refusal(content)


def test_a_truncated_shipped_network_is_refused() -> None:
    content = open_store().resolve("pylfr_nano_detect").path.read_bytes()
    assert "it is cut off" in refusal(content[: len(content) // 2])


def test_endlessly_nested_graphs_are_refused_or_read_and_never_overflow() -> None:
    graph = b""
    for _ in range(2000):
        graph = part(1, part(5, part(6, graph)))
    require_self_contained(model(graph), name="net.onnx")


@pytest.mark.parametrize("runtime", ["onnx", "openvino", "torch"])
def test_a_matching_manifest_does_not_make_such_a_file_acceptable(tmp_path: Path, runtime: str) -> None:
    for module in {"onnx": ("onnxruntime",), "openvino": ("openvino",), "torch": ("torch", "onnx")}[runtime]:
        pytest.importorskip(module)
    content = model(part(1, node("Relu")) + part(5, OUTSIDE))
    path = tmp_path / "finder.onnx"
    path.write_bytes(content)
    vouched = Model(
        manifest=read_manifest(write(tmp_path, "finder", DETECTOR)),
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
    )
    with pytest.raises(ModelError, match="in another file"):
        read_verified(vouched)
    with pytest.raises(ModelError, match="in another file"):
        open_runtime(vouched, runtime=runtime)
