"""A network in half precision, and the check that its outputs agree with single precision.

The file itself is converted to fp16, so that an engine built from it cannot round anywhere else. Inputs and outputs
stay float32. Needs onnx, which the extras ``tensorrt`` and ``rtx`` bring; the conversion is onnxruntime's.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from pylfr.errors import ConfigError, ModelError
from pylfr.models.manifest import ModelManifest
from pylfr.models.store import Model
from pylfr.protocols import Runtime
from pylfr.types import Float32

# The least cosine between a template and its fp16 counterpart, and the largest relative error of a detector's output.
# The worst of six networks reached 0.999998 and 0.0039, on synthetic pictures.
LEAST_COSINE = 0.999
MOST_RELATIVE_ERROR = 0.02

_PICTURES = 4


def to_half(content: bytes) -> bytes:
    """The ONNX network of ``content`` with weights and activations in fp16, inputs and outputs in float32.

    Raises ``ConfigError`` if onnx is not installed, ``ModelError`` if the network cannot be converted.
    """
    if find_spec("onnx") is None:
        raise ConfigError("fp16 needs onnx, which is not installed: install pylfr[tensorrt] or pylfr[rtx]")
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16  # noqa: TID251 - converts, runs nothing

    try:
        half = convert_float_to_float16(onnx.load_from_string(content), keep_io_types=True)
    except Exception as error:  # both libraries raise errors of many kinds
        raise ModelError(f"the network cannot be converted to fp16: {error}; use precision fp32") from error
    return bytes(half.SerializeToString())


def synthetic_pictures(manifest: ModelManifest, *, height: int, width: int) -> Float32:
    """Inputs for a comparison, float32 [B, 3, height, width]: soft shapes and grain, normalised for the network."""
    generator = np.random.default_rng(0)
    batch = min(_PICTURES, manifest.pixels.max_batch or _PICTURES)
    coarse = generator.uniform(0, 255, (batch, 3, -(-height // 8), -(-width // 8)))
    soft = coarse.repeat(8, axis=2).repeat(8, axis=3)[:, :, :height, :width]
    pictures = np.clip(soft + generator.normal(0, 8, soft.shape), 0, 255)
    mean, scale = (np.reshape(each, (1, 3, 1, 1)) for each in (manifest.pixels.mean, manifest.pixels.scale))
    normalised: Float32 = ((pictures - mean) * scale).astype(np.float32)
    return normalised


def require_agreement(model: Model, plain: Runtime, other: Runtime, pictures: Float32, *, what: str) -> None:
    """Raise ``ModelError`` unless ``other`` agrees with ``plain``, the network in float32.

    Templates are compared by cosine, a detector's outputs by relative error; NaN and infinity are refused.
    """
    wanted, got = plain.run(pictures), other.run(pictures)
    for name, expected in wanted.items():
        answer = got[name].reshape(expected.shape)
        if not np.isfinite(answer).all():
            raise ModelError(f"{what} of {model.manifest.name} gives NaN or infinity in {name!r}: use precision fp32")
        if model.manifest.embed is not None:
            lengths = np.linalg.norm(answer, axis=1) * np.linalg.norm(expected, axis=1)
            cosine = float(((answer * expected).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)).min())
            if not cosine >= LEAST_COSINE:
                raise ModelError(
                    f"{what} of {model.manifest.name} must agree with float32 to a cosine of {LEAST_COSINE}, got "
                    f"{cosine:.5f}: use precision fp32"
                )
        else:
            error = float(np.linalg.norm(answer - expected) / max(float(np.linalg.norm(expected)), 1e-12))
            if not error <= MOST_RELATIVE_ERROR:
                raise ModelError(
                    f"{what} of {model.manifest.name} must agree with float32 to {MOST_RELATIVE_ERROR} in {name!r}, "
                    f"got {error:.4f}: use precision fp32"
                )
