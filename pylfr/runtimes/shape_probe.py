"""The shapes of a network's outputs for an input size, found once by running a single black picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from pylfr.types import Float32


class ShapeProbe:
    """Remembers the output shapes of ``run`` for each picture size; a batch only scales the first axis."""

    def __init__(self, run: Callable[[Float32], Mapping[str, Float32]]) -> None:
        self._run = run
        self._of_one: dict[tuple[int, ...], Mapping[str, tuple[int, ...]]] = {}

    def of(self, shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        """As ``DeviceRuntime.output_shapes``. Raises ``ValueError`` unless ``shape`` is [B, 3, H, W] with 1 or more."""
        if len(shape) != 4 or min(shape) < 1:
            raise ValueError(f"the input must be [B, 3, H, W], got {list(shape)}")
        size = shape[1:]
        if size not in self._of_one:
            self._of_one[size] = {
                name: output.shape for name, output in self._run(np.zeros((1, *size), np.float32)).items()
            }
        # An export for one picture may omit the batch axis, and then takes only one.
        return {name: (shape[0], *own[1:]) if own and own[0] == 1 else own for name, own in self._of_one[size].items()}
