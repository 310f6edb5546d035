"""Checkpoints to the ONNX files that ship: `python export.py --to FOLDER`.

Batch norms are folded into the convolutions before them and weights are stored as fp16 with a cast behind each, which
runtimes fold away when they load: half the size, the arithmetic stays fp32.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
import onnx
import torch
from detector_network import INPUT_SCALE, NanoDetector, YuNetOutputs
from embedder_network import SIDE_PX, NanoEmbedder
from onnx import TensorProto, helper, numpy_helper
from people import work_dir
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from tqdm import tqdm


def folded(model: nn.Module) -> nn.Module:
    """The model with every convolution and the batch norm behind it made one."""
    for module in model.modules():
        if (
            isinstance(module, nn.Sequential)
            and len(module) >= 2
            and isinstance(module[0], nn.Conv2d)
            and isinstance(module[1], nn.BatchNorm2d)
        ):
            module[0] = fuse_conv_bn_eval(module[0], module[1])
            module[1] = nn.Identity()
    return model


def shipped_embedder(checkpoint: Path) -> nn.Module:
    """The averaged embedder, folded; the norm before its last layer goes into that layer."""
    model = NanoEmbedder().eval()
    model.load_state_dict(torch.load(checkpoint, map_location="cpu")["average"])
    gain = model.norm.weight / torch.sqrt(model.norm.running_var + model.norm.eps)
    with torch.no_grad():
        model.out.bias += model.out.weight @ (model.norm.bias - model.norm.running_mean * gain)
        model.out.weight *= gain
    model.norm = nn.Identity()
    return folded(model)


def shipped_detector(checkpoint: Path) -> nn.Module:
    """The averaged detector, folded, its input's scale too, with the YuNet head's outputs."""
    model = NanoDetector().eval()
    model.load_state_dict(torch.load(checkpoint, map_location="cpu")["average"])
    model = folded(model)
    with torch.no_grad():
        model.stem[0].weight *= INPUT_SCALE
    model.input_scale = None
    return YuNetOutputs(model).eval()


def store_as_fp16(path: Path) -> None:
    """Rewrite an ONNX file's large weights as fp16, each with a cast to fp32 behind it."""
    model = onnx.load(path)
    graph = model.graph
    casts = []
    for tensor in list(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < 256:
            continue
        half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{tensor.name}_fp16")
        casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
        graph.initializer.remove(tensor)
        graph.initializer.append(half)
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    del model.metadata_props[:]
    for node in graph.node:  # the exporter notes source lines and paths; they concern nobody
        del node.metadata_props[:]
        node.doc_string = ""
    del graph.value_info[:]
    onnx.checker.check_model(model)
    onnx.save(model, path)


def write(model: nn.Module, example: torch.Tensor, dynamic: dict[int, object], outputs: list[str], path: Path) -> None:
    """One ONNX file, checked, with its hash said."""
    program = torch.onnx.export(
        model,
        (example,),
        input_names=["input"],
        output_names=outputs,
        dynamic_shapes=(dynamic,),
        opset_version=18,
        dynamo=True,
        verbose=False,
    )
    program.save(str(path))
    store_as_fp16(path)
    tqdm.write(f"{path}: {path.stat().st_size} bytes, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


def main() -> None:
    """Write the networks whose checkpoints are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=work_dir() / "export")
    parser.add_argument("--embedder", type=Path, default=work_dir() / "embedder.pt")
    parser.add_argument("--detector", type=Path, default=work_dir() / "detector.pt")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    batch = torch.export.Dim("batch", min=1, max=4096)
    if options.embedder.exists():
        crop = torch.zeros(2, 3, SIDE_PX, SIDE_PX)
        write(shipped_embedder(options.embedder), crop, {0: batch}, ["embedding"], options.to / "pylfr_nano_embed.onnx")
    if options.detector.exists():
        height, width = (32 * torch.export.Dim(name, min=1, max=512) for name in ("rows", "columns"))
        write(
            shipped_detector(options.detector),
            torch.zeros(2, 3, 320, 384),
            {0: batch, 2: height, 3: width},
            list(YuNetOutputs.names),
            options.to / "pylfr_nano_detect.onnx",
        )


if __name__ == "__main__":
    main()
