"""The GPU that this process uses, as the driver reports it: engines are cached for that GPU only."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from pylfr.errors import CudaError

# CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of cuda.h
_MAJOR, _MINOR = 75, 76
_NAME_BYTES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """``capability`` is the compute capability, like "9.0"."""

    name: str
    capability: str

    def __str__(self) -> str:
        return f"{self.name}, {self.capability}"


def current_gpu() -> Gpu:
    """The GPU of the current context, or the first if there is none. Raises ``CudaError`` without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise CudaError("no CUDA driver was found (libcuda.so.1): install NVIDIA's driver, or use 'cpu'") from error
    device, major, minor = ctypes.c_int(0), ctypes.c_int(0), ctypes.c_int(0)
    name = ctypes.create_string_buffer(_NAME_BYTES)
    _check(driver.cuInit(0), "starting the CUDA driver")
    if driver.cuCtxGetDevice(ctypes.byref(device)) != 0:
        _check(driver.cuDeviceGet(ctypes.byref(device), 0), "asking for the first GPU")
    _check(driver.cuDeviceGetName(name, _NAME_BYTES, device), "asking for the GPU's name")
    _check(driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device), "asking for the compute capability")
    _check(driver.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device), "asking for the compute capability")
    return Gpu(name=name.value.decode(), capability=f"{major.value}.{minor.value}")


def _check(result: int, what: str) -> None:
    if result != 0:
        raise CudaError(f"{what} failed: CUresult {result}; check the driver, or use 'cpu'")
