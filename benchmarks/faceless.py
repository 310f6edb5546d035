"""Pictures without a face, which show how often a detector takes something else for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pylfr.evaluation.images.people import Photograph, central_faces
from pylfr.faces.detect import open_detector
from pylfr.types import UInt8
from pylfr.video.decoding.image_io import read_image

# Clothes begin this far below a face, as a share of its height; what is left must be at least this high.
_BELOW_CHIN, _LEAST_CLOTHES_PX = 0.1, 32


def faceless() -> dict[str, tuple[UInt8, int]]:
    """Pictures that scikit-image carries, RGB, and how many faces each shows. None was learnt from."""
    from skimage import data  # only what it carries: it would fetch the rest

    def as_rgb(picture: npt.NDArray[np.generic]) -> UInt8:
        grey: UInt8 = np.asarray(picture, np.uint8)
        return np.ascontiguousarray(np.stack([grey] * 3, -1) if grey.ndim == 2 else grey[..., :3])

    makers: dict[str, tuple[Callable[[], npt.NDArray[np.generic]], int]] = {
        "astronaut": (data.astronaut, 1),
        "cat": (data.chelsea, 0),
        "coffee": (data.coffee, 0),
        "coins": (data.coins, 0),
        "page": (data.page, 0),
        "text": (data.text, 0),
        "rocket": (data.rocket, 0),
        "moon": (data.moon, 0),
        "horse": (lambda: data.horse() * np.uint8(255), 0),
        "brick": (data.brick, 0),
        "grass": (data.grass, 0),
        "gravel": (data.gravel, 0),
        "hubble": (data.hubble_deep_field, 0),
        "motorcycle": (lambda: data.stereo_motorcycle()[0], 0),
    }
    pictures = {}
    for name, (make, faces) in makers.items():
        try:
            pictures[name] = as_rgb(make()), faces
        except (OSError, ImportError, ModuleNotFoundError) as error:
            print(f"{name} is not carried here: {str(error).splitlines()[0]}")
    return pictures


def clothes(photographs: Sequence[Photograph]) -> Iterator[UInt8]:
    """What photographs show below the chin of whom they are centred on: clothes; seldom somebody else's face."""
    detector = open_detector("yunet_n", threads=1)
    for each in photographs:
        picture = read_image(each.path)
        faces = detector.detect([picture])
        (central,) = central_faces([picture], faces).tolist()
        if central < 0:
            continue
        _, top, _, bottom = faces.boxes[central].tolist()
        below = picture[round(bottom + _BELOW_CHIN * (bottom - top)) :]
        if below.shape[0] >= _LEAST_CLOTHES_PX:
            yield np.ascontiguousarray(below)
