"""An int8 variant of an exported embedder: `python quantise.py out/pylfr_nano_embed.onnx out/int8.onnx`.

Static quantisation by ONNX Runtime: weights by output channel, activations by what faces learnt from make of them. The
gates, the weighted sum and the last layer, which are small and fine, stay as they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from embedder_network import MEAN, SCALE, SIDE_PX
from evaluate_embedder import fields
from face_store import load_faces
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnxruntime.quantization import (  # noqa: TID251 (training stands outside the package)
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from people import work_dir
from spoilt_probes import KINDS, spoilt
from tqdm import tqdm

FACES = 256
AT_ONCE = 16


class Crops(CalibrationDataReader):
    """Crops of faces learnt from, a third of them spoilt, for the ranges of the activations."""

    def __init__(self, faces: int = FACES) -> None:
        crops = load_faces(work_dir() / "faces_learn.npz").crops
        chosen = crops[np.random.default_rng(0).permutation(len(crops))[:faces]]
        third = faces // 3
        kinds = list(KINDS)
        parts = [spoilt(chosen[i : i + 1], kinds[i % len(kinds)]) for i in range(third)]
        self._batches = self._made(np.concatenate([*parts, chosen[third:]]))

    @staticmethod
    def _made(masters: NDArray[np.uint8]) -> Iterator[dict[str, NDArray[np.float32]]]:
        for at in range(0, len(masters), AT_ONCE):
            crops = fields(masters[at : at + AT_ONCE], SIDE_PX).transpose(0, 3, 1, 2).astype(np.float32)
            yield {"input": (crops - MEAN) * np.float32(SCALE)}

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next batch, None at the end."""
        return next(self._batches, None)


def stored_as_fp32(path: Path, to: Path) -> None:
    """Undo `export.store_as_fp16`: weights as they are computed with."""
    model = onnx.load(path)
    graph = model.graph
    halves = {each.name: each for each in graph.initializer if each.data_type == TensorProto.FLOAT16}
    for node in [each for each in graph.node if each.op_type == "Cast" and each.input[0] in halves]:
        weight = numpy_helper.to_array(halves[node.input[0]]).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(weight, node.output[0]))
        graph.node.remove(node)
    for half in halves.values():
        graph.initializer.remove(half)
    onnx.save(model, to)


def large_convolutions(path: Path) -> list[str]:
    """The names of the convolutions whose kernels are 3x3, or which widen: nearly all of the work."""
    graph = onnx.load(path).graph
    sizes = {each.name: tuple(each.dims) for each in graph.initializer}
    return [n.name for n in graph.node if n.op_type == "Conv" and np.prod(sizes[n.input[1]][1:]) >= 190]


def main() -> None:
    """Quantise one network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", type=Path)
    parser.add_argument("to", type=Path)
    parser.add_argument("--method", choices=[each.name for each in CalibrationMethod], default="Percentile")
    options = parser.parse_args()
    whole = options.to.with_suffix(".fp32.onnx")
    stored_as_fp32(options.network, whole)
    named = large_convolutions(whole)
    quantize_static(
        str(whole),
        str(options.to),
        Crops(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_quantize=named,
        calibrate_method=CalibrationMethod[options.method],
        extra_options={"CalibPercentile": 99.99} if options.method == "Percentile" else {},
    )
    whole.unlink()
    tqdm.write(f"{options.to}: {options.to.stat().st_size} bytes, {len(named)} convolutions in int8")


if __name__ == "__main__":
    main()
