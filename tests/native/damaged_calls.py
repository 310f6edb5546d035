"""One call of every function of the core, with arguments that ``Chance`` may damage.

A call returns, or raises one of ``REFUSALS``. All else is a fault: of the checks, or, under a sanitizer, of memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from pylfr import _core as _typed_core  # noqa: TID251 - what is attacked is the core itself
from pylfr.errors import CudaError
from tests.native.damaged_values import AnyArray, Chance
from tests.native.pictures import LAYOUTS, MATRICES, plane_shapes

REFUSALS = (ValueError, TypeError, MemoryError, BufferError, CudaError)

_SIZES = (1, 2, 3, 7, 16, 33)
_ELEMENTS = ("float32", "float16", "int8", "uint8", "int32", "int64")
# Something of the core. It has no type: what is handed to it is wrong on purpose.
Native: TypeAlias = Any
_core: Native = _typed_core
_STREAM = _core.Stream("cpu")


def _picture(chance: Chance, is_surface: bool = False) -> Native:
    layout = chance.choice(LAYOUTS)
    shapes = plane_shapes(layout, chance.choice(_SIZES), chance.choice(_SIZES))
    planes = chance.some([chance.bytes(shape) for shape in shapes])
    style = chance.name(layout), chance.name(*MATRICES), chance.choice((False, True))
    if is_surface:
        return _core.Picture.of_surfaces([_core.Tensor.borrow(plane, _STREAM) for plane in planes], *style)
    return _core.Picture(planes, *style)


def _pictures(chance: Chance) -> list[Native]:
    return [_picture(chance) for _ in range(chance.length(3))]


def _colours(chance: Chance) -> tuple[bool, list[float], list[float]]:
    """Whether blue comes first, means and scales."""
    mean, scale = ([chance.real(0.0, 1.0, 127.5, 1 / 128) for _ in range(3)] for _ in range(2))
    return chance.choice((False, True)), chance.some(mean), chance.some(scale)


def _maps(chance: Chance, count: int) -> AnyArray:
    return chance.floats((count, 2, 3), -3.0, 30.0)


def _tensor(chance: Chance, array: AnyArray) -> Native:
    """A tensor of an array's values; now and then the array itself, however it lies."""
    if chance.random.random() < 0.3:
        return _core.Tensor.borrow(array, _STREAM)
    tensor = _core.Tensor(array.shape, "float32" if array.dtype == np.float32 else "uint8", _STREAM)
    tensor.copy_from(array, _STREAM)
    return tensor


def _room(chance: Chance, *shape: int) -> Native:
    return _tensor(chance, chance.floats(shape))


def _staging(chance: Chance) -> Native:
    return _core.Staging(_STREAM, chance.number(1, 2))


def letterbox(chance: Chance) -> object:
    pictures = _pictures(chance)
    out = chance.floats((len(pictures), 3, chance.choice(_SIZES), chance.choice(_SIZES)))
    per_pixel = chance.choice((False, True))
    return _core.letterbox(pictures, out, *_colours(chance), per_pixel)


def similarity(chance: Chance) -> object:
    return _core.similarity(chance.floats((chance.length(), 5, 2), 0, 99), chance.floats((5, 2), 0, 99))


def warp(chance: Chance) -> object:
    pictures, count, side = _pictures(chance), chance.length(), chance.choice(_SIZES)
    index, out = chance.int32s((count,), len(pictures)), chance.floats((count, 3, side, side))
    per_pixel = chance.choice((False, True))
    return _core.warp(pictures, index, _maps(chance, count), out, *_colours(chance), per_pixel)


def crop_rgb(chance: Chance) -> object:
    out = chance.bytes((chance.choice(_SIZES), chance.choice(_SIZES), 3))
    return _core.crop_rgb(_picture(chance), chance.floats((2, 3), -3.0, 30.0), out)


def measure_quality(chance: Chance) -> object:
    pictures, count = _pictures(chance), chance.length()
    return _core.measure_quality(pictures, chance.int32s((count,), len(pictures)), chance.floats((count, 5, 2), -9, 40))


def scenes(chance: Chance) -> object:
    if chance.choice((False, True)):
        return _core.coarse_luma(_picture(chance), chance.number(1, 8, 64))
    return _core.measure_scenes(_pictures(chance))


def decode_yunet(chance: Chance) -> object:
    batch, width, height, strides, cells = _levels(chance)
    parts = [chance.some([chance.floats((batch, at, size)) for at in cells]) for size in (1, 1, 4, 10)]
    return _core.decode_yunet(*parts, strides, chance.number(width), chance.number(height), chance.real(0.1, 0.5, 1.0))


def decode_scrfd(chance: Chance) -> object:
    batch, width, height, strides, cells = _levels(chance)
    anchors = chance.choice((1, 2))
    parts = [chance.some([chance.floats((batch, at * anchors, size)) for at in cells]) for size in (1, 4, 10)]
    sizes = chance.number(anchors), chance.number(width), chance.number(height)
    return _core.decode_scrfd(*parts, strides, *sizes, chance.real(0.1, 0.5, 1.0))


def _levels(chance: Chance) -> tuple[int, int, int, list[int], list[int]]:
    """A batch, the size of a network's input, its strides, and the cells of each."""
    width, height, strides = chance.choice((32, 64)), chance.choice((32, 96)), [8, 16, 32]
    cells = [(width // stride) * (height // stride) for stride in strides]
    return chance.length(2), width, height, [chance.number(stride) for stride in strides], cells


def nms(chance: Chance) -> object:
    count = chance.length(30)
    boxes, scores = chance.floats((count, 4), -5, 50), chance.floats((count,), 0, 1)
    return _core.nms(chance.int32s((count,), 3), boxes, scores, chance.real(0.3, 0.7))


def normalise(chance: Chance) -> object:
    return _core.normalise(chance.floats((chance.length(), chance.choice((0, 1, 16, 129)))))


def search(chance: Chance) -> object:
    dimension, references, kept = chance.choice((0, 1, 16, 65)), chance.length(40), chance.number(1, 3, 50)
    probes, rows = chance.floats((chance.length(), dimension)), chance.floats((references, dimension))
    if 2**20 < kept < 2**62:  # legal, and gigabytes
        kept = 2**62
    if chance.choice((False, True)):
        return _core.search_exact(probes, rows, kept)
    entry = _core.EntryNumbers(chance.int64s((references,), 5, is_sorted=True))
    return len(entry), _core.search_entries(probes, rows, entry, kept)


def tracker(chance: Chance) -> object:
    most_age, most_tracks = chance.real(500.0, 0.0), chance.number(1, 3, 50)
    tracker = _core.Tracker(chance.real(0.6), chance.real(0.3), chance.real(0.2, 1.0), most_age, most_tracks)
    for _ in range(4):
        frames = chance.length(3)
        faces = chance.length(12) if frames else 0
        index = chance.int32s((faces,), frames)
        cameras, times = chance.int32s((frames,), 2), chance.int64s((frames,), 10 ** chance.choice((3, 9)))
        boxes = chance.floats((faces, 4), 0, chance.choice((1.0, 40.0, 3e38)))
        looks = chance.floats((faces, 3), 0, 1)
        tracker.update(cameras, times, chance.flags((frames,)), index, boxes, chance.floats((faces,), 0, 1), looks)
        tracker.finish(chance.number(0, 1))
    return tracker.ended(), tracker.alive


def template_pool(chance: Chance) -> object:
    pool = _core.TemplatePool(chance.number(1, 9), chance.number(1, 16))
    view = pool.array
    pool.wipe()
    del pool
    return float(view.flat[0]), float(view.flat[-1])


def tensor(chance: Chance) -> object:
    shape = [chance.number(0, 1, 3, 8) for _ in range(chance.length(4))]
    tensor = _core.Tensor(shape, chance.name(*_ELEMENTS), _STREAM, chance.choice((False, True)))
    for _ in range(chance.length(4)):
        tensor = chance.choice((_rows, _reshaped, _seen_as, _exchanged))(chance, tensor)
    if tensor.nbytes < 2**20:
        tensor.wipe(_STREAM)
    array = chance.floats(tuple(tensor.shape)) if tensor.nbytes < 2**20 else chance.floats((2, 2))
    if chance.choice((False, True)):
        tensor.copy_from(array, _STREAM)
    return tensor.copy_to(array, _STREAM), tensor.row_bytes, tensor.is_read_only


def _rows(chance: Chance, tensor: Native) -> Native:
    return tensor.rows(chance.number(0, 1), chance.number(1, 2))


def _reshaped(chance: Chance, tensor: Native) -> Native:
    return tensor.reshaped([chance.number(*tensor.shape, 1), *tensor.shape[1:]])


def _seen_as(chance: Chance, tensor: Native) -> Native:
    return _core.Tensor.seen_as(tensor, [chance.number(tensor.nbytes, tensor.nbytes // 4)], chance.name(*_ELEMENTS))


def _exchanged(chance: Chance, tensor: Native) -> Native:
    if chance.choice((False, True)):
        tensor.__dlpack__(max_version=chance.choice((None, (1, 0), (0, 8))))  # and nobody takes it
    return _core.Tensor.borrow(tensor, _STREAM)


def borrowed(chance: Chance) -> object:
    array = chance.choice((chance.floats, chance.bytes))((chance.length(), chance.length()))
    tensor = _core.Tensor.borrow(array, _STREAM)
    (other,) = _core.Tensor.borrow_together([chance.floats((chance.length(), chance.length()))], _STREAM)
    del array
    tensor.take(other, _STREAM)
    out = chance.floats(tuple(tensor.shape))
    _core.Readback(tensor, _STREAM).into(out)
    return np.from_dlpack(tensor)


def staged(chance: Chance) -> object:
    staging = _staging(chance)
    sent = [staging.send(chance.choice((chance.floats, chance.bytes))((chance.length(), 40))) for _ in range(6)]
    del staging
    return [tensor.nbytes for tensor in sent]


def batch(chance: Chance) -> object:
    staging, given = _staging(chance), _pictures(chance)
    if chance.choice((False, True)):
        given.append(_picture(chance, is_surface=True))
    pictures = staging.upload(given)
    count, side, faces = len(pictures), chance.choice(_SIZES), chance.length()
    index = chance.int32s((faces,), count)
    colours = _colours(chance)
    step = chance.random.randrange(4)
    if step == 0:
        if chance.choice((False, True)):
            return pictures.letterbox(_core.Tensor((count, side, side, 3), "float16", _STREAM), *colours)
        return pictures.letterbox(_room(chance, count, 3, side, chance.choice(_SIZES)), *colours)
    if step == 1:
        return pictures.warp(staging, index, _maps(chance, faces), _room(chance, faces, 3, side, side), *colours)
    if step == 2:
        return pictures.measure_scenes(_room(chance, count, 18, 32))
    return pictures.measure_quality(staging, index, chance.floats((faces, 5, 2), -9, 40), _room(chance, faces, 7))


def find_faces(chance: Chance) -> object:
    pictures = _staging(chance).upload(_pictures(chance))
    kind, count, most = chance.name("yunet", "scrfd"), len(pictures), chance.choice((1, 5, 100))
    _, width, height, strides, cells = _levels(chance)
    anchors = 1 if kind == "yunet" else chance.choice((1, 2))
    parts = [
        chance.some([_room(chance, count, at * anchors, size) for at in cells]) if size else []
        for size in (1, int(kind == "yunet"), 4, 10)
    ]
    sizes = chance.number(anchors), chance.number(width), chance.number(height)
    found = _room(chance, count, most, _core.FOUND_NUMBERS)
    counts = _core.Tensor((count, 2), "int32", _STREAM)
    levels = chance.real(0.1, 0.0, 0.9), chance.real(0.4)
    return pictures.find_faces(kind, *parts, strides, *sizes, *levels, found, counts)


def crop_surface(chance: Chance) -> object:
    out = _core.Tensor((chance.choice(_SIZES), chance.number(1, 9), 3), "uint8", _STREAM)
    return _core.crop_surface(_picture(chance, is_surface=True), chance.floats((2, 3), -3.0, 30.0), out)


def normalise_on(chance: Chance) -> object:
    return _core.normalise_on(_room(chance, chance.length(), chance.choice((0, 1, 16, 129))), _STREAM)


def search_index(chance: Chance) -> object:
    count, dimension = chance.number(0, 1, 40, 300), chance.number(1, 16, 65)
    index = _core.SearchIndex(count, dimension, chance.name("float32", "float16", "int8"), _STREAM)
    index.fill(chance.floats((chance.length(20), dimension)), chance.number(0, 5))
    probes = _room(chance, chance.length(), dimension)
    return index.search(probes, chance.number(1, 8), _STREAM), index.score_all(probes, _STREAM), index.most_error


def finish_convolution(chance: Chance) -> object:
    rows, channels = chance.length(), chance.choice((4, 8, 24))
    values = chance.floats((rows, channels))
    bias, slope = chance.floats((channels,)), chance.floats((channels,))
    shortcut = chance.floats((rows, channels))
    if chance.choice((False, True)):
        with np.errstate(all="ignore"):
            values, bias, shortcut, slope = (each.astype(np.float16) for each in (values, bias, shortcut, slope))
    given = [each if chance.choice((False, True)) else None for each in (bias, shortcut, slope)]
    return _core.finish_convolution(values, *given, 0)


def apply_linear(chance: Chance) -> object:
    rows, given, out = chance.length(), chance.choice(_SIZES), chance.choice(_SIZES)
    return _core.apply_linear(
        chance.floats((rows, given)), chance.floats((out, given)), chance.floats((out,)), chance.floats((rows, out))
    )


def streams(chance: Chance) -> object:
    if chance.is_wild():
        return _core.Stream.borrow(chance.number(0, 5), chance)
    event = _STREAM.record(chance.choice((False, True)))
    _STREAM.wait(event)
    graph = _core.Graph(_STREAM, lambda: None)
    graph.replay(_STREAM)
    return (
        event.is_done,
        event.ms_since(_STREAM.record(timed=True)),
        _core.memory_counts(chance.choice(("cpu", "pinned"))),
    )


def interruptions(chance: Chance) -> object:
    due = _core.DueTime()
    due.set(float(chance.number(0, 5)))
    interruption = _core.Interruption()
    if chance.choice((False, True)):
        interruption.interrupt()
    before = _core.interrupted_by(chance if chance.is_wild() else interruption)
    later = _core.waiting_clock()
    return _core.interrupted_by(before), later, interruption.is_over, due.at_s


CALLS: dict[str, Callable[[Chance], object]] = {
    call.__name__: call
    for call in (
        letterbox, similarity, warp, crop_rgb, measure_quality, scenes, decode_yunet, decode_scrfd, nms, normalise,
        search, tracker, template_pool, tensor, borrowed, staged, batch, find_faces, crop_surface, normalise_on,
        search_index, finish_convolution, apply_linear, streams, interruptions,
    )
}  # fmt: skip
