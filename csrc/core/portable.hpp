// What lets one header be compiled by g++ for the CPU and by nvcc for the GPU.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define PYLFR_HD __host__ __device__ __forceinline__
#else
// Always inlined, so that a function is compiled for the instruction set of the loop around it.
#define PYLFR_HD inline __attribute__((always_inline))
#endif

namespace pylfr {

// std::min and the like cannot be called on the device.
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

// a / b for numbers from 0 up; a 64-bit division costs a GPU four times a 32-bit one.
PYLFR_HD std::int64_t quotient(std::int64_t a, std::int64_t b) {
    const auto numerator = static_cast<std::uint64_t>(a), divisor = static_cast<std::uint64_t>(b);
    if (((numerator | divisor) >> 32) == 0) {
        return static_cast<std::int64_t>(static_cast<std::uint32_t>(numerator) / static_cast<std::uint32_t>(divisor));
    }
    return a / b;
}

// The next free place in a list that many threads append to.
PYLFR_HD std::int32_t take_place(std::int32_t* count) {
#ifdef __CUDA_ARCH__
    return atomicAdd(count, 1);
#else
    return (*count)++;
#endif
}

// The maximum of numbers from 0 up, on a device atomic: the bits of such floats, as integers, are in the same order.
PYLFR_HD void raise_to(float* most, float value) {
#ifdef __CUDA_ARCH__
    atomicMax(reinterpret_cast<int*>(most), __float_as_int(value));
#else
    if (value > *most) *most = value;
#endif
}

PYLFR_HD std::uint32_t bits_of(float value) {
#ifdef __CUDA_ARCH__
    return __float_as_uint(value);
#else
    return __builtin_bit_cast(std::uint32_t, value);
#endif
}

PYLFR_HD float float_of(std::uint32_t bits) {
#ifdef __CUDA_ARCH__
    return __uint_as_float(bits);
#else
    return __builtin_bit_cast(float, bits);
#endif
}

// What one thread loads or stores at once, of whatever type.
struct __attribute__((may_alias, aligned(16))) Chunk {
    std::uint32_t word[4];
};

// The threads that work on one group together. A program written for such a block runs on the CPU as one thread.
struct OneThread {
    int thread = 0, threads = 1;
    void barrier() const {}
};

#ifdef __CUDACC__
struct CudaBlock {
    int thread, threads;
    PYLFR_HD void barrier() const {
#ifdef __CUDA_ARCH__
        __syncthreads();
#endif
    }
};
#endif

}  // namespace pylfr
