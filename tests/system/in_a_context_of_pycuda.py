"""In a process of its own, because a context belongs to all of it.

Run as `python -m tests.system.in_a_context_of_pycuda MODULE`.
MODULE makes the context when it is imported. Not a test by itself; `test_interop.py` runs it.
"""

from __future__ import annotations

import importlib
import sys

import numpy as np

from pylfr import ops
from pylfr.gallery.index.device import DeviceIndexGallery
from pylfr.gallery.index.native import NativeGallery
from pylfr.types import Templates
from tests.devices import on_device, on_host
from tests.gallery.snapshots import snapshot_of, unit
from tests.samples import sample_frame


def arrays_go_in_and_out(home: ops.Stream) -> None:
    from pycuda import gpuarray

    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    theirs = gpuarray.to_gpu(values)
    tensor = ops.Tensor.borrow(theirs, home)
    assert tensor.pointer == int(theirs.gpudata)
    np.testing.assert_array_equal(on_host(tensor, home), values)
    mine = on_device(values + 1, home)
    home.synchronise()
    np.testing.assert_array_equal(gpuarray.GPUArray((3, 4), np.float32, gpudata=mine.pointer).get(), values + 1)


def letterbox(home: ops.Stream) -> None:
    frame = sample_frame()
    frame.planes[0][:] = np.random.default_rng(0).integers(0, 256, frame.planes[0].shape, np.uint8)
    mean, scale = (127.5, 127.5, 127.5), (1 / 128, 1 / 128, 1 / 128)
    wanted, _ = ops.letterbox([frame], width=96, height=64, bgr=True, mean=mean, scale=scale)
    out = ops.Tensor(wanted.shape, "float32", home)
    ops.upload([frame], ops.Staging(home)).letterbox(out, bgr=True, mean=mean, scale=scale)
    np.testing.assert_array_equal(on_host(out, home), wanted)


def search(home: ops.Stream) -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(500, 64)).astype(np.float32))
    snapshot, probes = snapshot_of(list(range(1, 501)), vectors), np.ascontiguousarray(vectors[:3])
    gallery = DeviceIndexGallery(snapshot, precision="float16", stream=home)
    found = gallery.search_on(on_device(probes, home), model=snapshot.model, k=5)
    wanted = NativeGallery(snapshot).search(Templates(vectors=probes, model=snapshot.model), 5)
    np.testing.assert_array_equal(found.entry, wanted.entry)
    np.testing.assert_array_equal(found.scores, wanted.scores)


def main() -> None:
    importlib.import_module(sys.argv[1])
    from pycuda import driver

    theirs = driver.Stream()
    home = ops.Stream.borrow(theirs.handle, owner=theirs)
    for stage in (arrays_go_in_and_out, letterbox, search):
        stage(home)
        home.synchronise()
    # While the context is still there: pycuda ends it when the process ends.
    ops.release_memory("cuda")


if __name__ == "__main__":
    main()
