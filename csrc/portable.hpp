// What lets one header be compiled by g++ for the CPU and by nvcc for the GPU.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define PYLFR_HD __host__ __device__ __forceinline__
#else
// Always inlined, so that a function takes the instruction set of the loop that it stands in.
#define PYLFR_HD inline __attribute__((always_inline))
#endif

namespace pylfr {

// std::min and its kind are not callable on the device.
template <class T>
PYLFR_HD T smaller(T a, T b) {
    return b < a ? b : a;
}

template <class T>
PYLFR_HD T larger(T a, T b) {
    return a < b ? b : a;
}

// NaN becomes `low`.
template <class T>
PYLFR_HD T clamped(T value, T low, T high) {
    const T above = value > low ? value : low;
    return above < high ? above : high;
}

}  // namespace pylfr
