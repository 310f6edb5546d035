"""Networks of the usual sizes with random weights, for timing alone: what they say about a face means nothing.

The shapes follow ArcFace's IResNet (Deng et al., 2019; Duta et al., 2020) and MobileFaceNet (Chen et al., 2018); the
detector has the depth, the widths and the ReLU of SCRFD-10G's backbone (Guo et al., 2021) and plain heads, not its
exact neck.
Needs PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pylfr import ops
from pylfr.runtimes.torch.finish import finished
from pylfr.types import Device

STRIDES = (8, 16, 32)


def _conv(given: int, out: int, *, stride: int = 1, size: int = 3, groups: int = 1, prelu: bool = True) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(given, out, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
        nn.PReLU(out) if prelu else nn.ReLU(),
    )


class _ConvRelu(nn.Module):  # type: ignore[misc]
    """Both in one kernel of cuDNN, as pylfr's own runtime has it."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        conv = self.conv
        if not given.is_cuda or conv.in_channels % 8:
            return torch.relu(conv(given))
        return torch.cudnn_convolution_relu(
            given, conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups
        )


class _ConvFinish(nn.Module):  # type: ignore[misc]
    """Bias, shortcut and PReLU of a convolution in one kernel of the core, as pylfr's own runtime has it."""

    def __init__(self, conv: nn.Conv2d, prelu: nn.PReLU | None = None) -> None:
        super().__init__()
        self.conv, self.prelu = conv, prelu

    def forward(self, given: torch.Tensor, shortcut: torch.Tensor | None = None) -> torch.Tensor:
        conv = self.conv
        made = functional.conv2d(given, conv.weight, None, conv.stride, conv.padding, conv.dilation, conv.groups)
        return finished(made, conv.bias, shortcut, None if self.prelu is None else self.prelu.weight)


class _Block(nn.Module):  # type: ignore[misc]
    """Of IResNet: normalised, a convolution with PReLU, one with the shortcut. Works once it is folded."""

    def __init__(self, given: int, out: int, stride: int) -> None:
        super().__init__()
        self.norm, self.first = nn.BatchNorm2d(given), _conv(given, out)
        self.second = nn.Sequential(nn.Conv2d(out, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out))
        same = stride == 1 and given == out
        self.shortcut = nn.Identity() if same else nn.Conv2d(given, out, 1, stride, bias=False)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.second[0](self.first(self.norm(given)), self.shortcut(given))
        return made


class _Residual(nn.Module):  # type: ignore[misc]
    def __init__(self, given: int, out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(given, out, prelu=False), _conv(out, out, stride=stride, prelu=False))
        same = stride == 1 and given == out
        self.shortcut = nn.Identity() if same else nn.Conv2d(given, out, 1, stride, bias=False)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return self.body(given) + self.shortcut(given)


def iresnet(blocks: tuple[int, int, int, int]) -> nn.Module:
    """R50 is (3, 4, 14, 3), R100 is (3, 13, 30, 3); 112 x 112 in, 512 numbers out."""
    layers, width = [_conv(3, 64)], 64
    for count, out in zip(blocks, (64, 128, 256, 512), strict=True):
        layers += [_Block(width if n == 0 else out, out, 2 if n == 0 else 1) for n in range(count)]
        width = out
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512 * 7 * 7, 512))


def mobilefacenet() -> nn.Module:
    layers, width = [_conv(3, 64, stride=2), _conv(64, 64, groups=64)], 64
    for out, count, stride, wide in ((64, 5, 2, 2), (128, 1, 2, 4), (128, 6, 1, 2), (128, 1, 2, 4), (128, 2, 1, 2)):
        for n in range(count):
            inner = width * wide
            layers += [
                _conv(width, inner, size=1),
                _conv(inner, inner, stride=stride if n == 0 else 1, groups=inner),
                nn.Conv2d(inner, out, 1, bias=False),
            ]
            width = out
    layers += [_conv(128, 512, size=1), nn.Conv2d(512, 512, 7, groups=512, bias=False), nn.Conv2d(512, 512, 1)]
    return nn.Sequential(*layers, nn.Flatten())


class ScrfdSized(nn.Module):  # type: ignore[misc]
    """Nine outputs as SCRFD's exports give them: scores, boxes and keypoints of three strides, two anchors a cell."""

    def __init__(self) -> None:
        super().__init__()
        # 28 channels, filled up to 32 as pylfr's own runtime does it.
        self.stem = nn.Sequential(
            _conv(3, 32, stride=2, prelu=False),
            _conv(32, 32, prelu=False),
            _conv(32, 56, prelu=False),
            nn.MaxPool2d(2),
        )
        self.stages, self.heads, width = nn.ModuleList(), nn.ModuleList(), 56
        for level, (count, out) in enumerate(((3, 56), (4, 88), (2, 88), (3, 224))):
            blocks = [_Residual(width if n == 0 else out, out, 2 if n == 0 and level else 1) for n in range(count)]
            self.stages.append(nn.Sequential(*blocks))
            width = out
            if level:
                trunk = nn.Sequential(*(_conv(out if n == 0 else 80, 80, prelu=False) for n in range(3)))
                self.heads.append(nn.Sequential(trunk, nn.Conv2d(80, 2 * 15, 3, 1, 1)))

    def forward(self, given: torch.Tensor) -> list[torch.Tensor]:
        deep, said = self.stem(given), []
        for level, stage in enumerate(self.stages):
            deep = stage(deep)
            if level:
                said.append(self.heads[level - 1](deep).permute(0, 2, 3, 1).reshape(len(given), -1, 15).contiguous())
        kinds = ((0, 1), (1, 5), (5, 15))
        return [each[..., start:stop].contiguous() for start, stop in kinds for each in said]


def _fold(module: nn.Module) -> nn.Module:
    """Normalisation becomes part of the convolution before it, as in exports of networks, ReLU or PReLU its end."""
    for child in module.children():
        _fold(child)
    if isinstance(module, nn.Sequential):
        for place in range(1, len(module)):
            before, here = module[place - 1], module[place]
            if isinstance(before, nn.Conv2d) and isinstance(here, nn.BatchNorm2d):
                conv, after = fuse_conv_bn_eval(before, here), module[place + 1] if place + 1 < len(module) else None
                prelu = after if isinstance(after, nn.PReLU) else None
                module[place - 1] = _ConvRelu(conv) if isinstance(after, nn.ReLU) else _ConvFinish(conv, prelu)
                module[place] = nn.Identity()
                if isinstance(after, nn.ReLU | nn.PReLU):
                    module[place + 1] = nn.Identity()
    return module


class TimedNetwork:
    """A ``DeviceRuntime`` around one of these, fp16 and channels-last on CUDA, one CUDA graph a shape."""

    def __init__(self, network: nn.Module, stream: ops.Stream, names: tuple[str, ...]) -> None:
        self.device: Device = stream.device
        self._half = self.device == "cuda"
        network = _fold(network.eval())
        self._network = network.half().cuda().to(memory_format=torch.channels_last) if self._half else network
        self._names = names
        self._graphs: dict[tuple[int, ...], tuple[torch.cuda.CUDAGraph, torch.Tensor, list[torch.Tensor]]] = {}

    @property
    def takes_halves(self) -> bool:
        """Whether pictures may be float16 [B, H, W, 3], which need no conversion."""
        return self._half

    @property
    def outputs(self) -> Mapping[str, tuple[int | None, ...]]:
        return dict.fromkeys(self._names, (None,))

    def output_shapes(self, shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        if len(self._names) == 1:
            return {self._names[0]: (shape[0], 512)}
        cells = [shape[2] // stride * (shape[3] // stride) * 2 for stride in STRIDES]
        shapes = [(shape[0], count, numbers) for numbers in (1, 4, 10) for count in cells]
        return dict(zip(self._names, shapes, strict=True))

    def run_on(self, stream: ops.Stream, tensor: ops.Tensor, outputs: Mapping[str, ops.Tensor]) -> None:
        with torch.inference_mode():
            if not self._half:
                self._copy(self._forward(torch.from_dlpack(tensor)), outputs)
                return
            # On the caller's stream, which is another for each stage: nothing else orders them.
            with torch.cuda.stream(torch.cuda.ExternalStream(stream.handle)):
                self._copy(self._replayed(tensor), outputs)

    def _copy(self, said: list[torch.Tensor], outputs: Mapping[str, ops.Tensor]) -> None:
        for name, values in zip(self._names, said, strict=True):
            torch.from_dlpack(outputs[name]).copy_(values)

    def _forward(self, given: torch.Tensor) -> list[torch.Tensor]:
        said = self._network(given)
        return list(said) if isinstance(said, list) else [said]

    def _replayed(self, tensor: ops.Tensor) -> list[torch.Tensor]:
        pictures = torch.from_dlpack(tensor)
        if pictures.dtype == torch.float16:
            pictures = pictures.permute(0, 3, 1, 2)
        shape = tuple(pictures.shape)
        if shape not in self._graphs:
            given = torch.zeros(shape, device="cuda", dtype=torch.float16)
            given = given.to(memory_format=torch.channels_last)
            for _ in range(3):
                self._forward(given)
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                said = self._forward(given)
            self._graphs[shape] = graph, given, said
        graph, given, said = self._graphs[shape]
        given.copy_(pictures)
        graph.replay()
        return said


def detector_on(stream: ops.Stream) -> TimedNetwork:
    """A detector of SCRFD-10G's size."""
    names = tuple(f"{kind}_{s}" for kind in ("score", "bbox", "kps") for s in STRIDES)
    return TimedNetwork(ScrfdSized(), stream, names)


def embedders_on(stream: ops.Stream) -> Mapping[str, TimedNetwork]:
    """Embedders of the usual sizes."""
    made = {"R50": iresnet((3, 4, 14, 3)), "R100": iresnet((3, 13, 30, 3)), "MobileFaceNet": mobilefacenet()}
    return {name: TimedNetwork(network, stream, ("template",)) for name, network in made.items()}
