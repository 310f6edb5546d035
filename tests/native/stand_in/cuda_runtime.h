// What nvcc knows without being told: the words of the language and the functions of a device. See cuda_runtime_api.h.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <tuple>
#include <type_traits>

#include "cuda_runtime_api.h"

#define __CUDACC__ 1
#define __CUDA_ARCH__ 900
#define PYLFR_STAND_IN 1
#define __host__
#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static

// Of the thread that runs now.
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

struct uint4 {
    unsigned x, y, z, w;
};
struct uint2 {
    unsigned x, y;
};

namespace stand_in {

// The lanes that the mask names, all 32 or eight neighbours, give eight bytes each: what each lane of the warp gave.
const std::uint64_t* exchange(std::uint64_t own, unsigned mask = 0xffffffffu);
int lane();
void block_barrier();

template <class T>
std::uint64_t bits_of(T value) {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    return bits;
}

template <class T>
T value_of(std::uint64_t bits) {
    T value;
    std::memcpy(&value, &bits, sizeof(T));
    return value;
}

}  // namespace stand_in

inline void __syncthreads() {
    stand_in::block_barrier();
}

inline void __syncwarp(unsigned mask = 0xffffffffu) {
    stand_in::exchange(0, mask);
}

template <class T>
T __shfl_sync(unsigned mask, T value, int from) {
    return stand_in::value_of<T>(stand_in::exchange(stand_in::bits_of(value), mask)[from & 31]);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int apart) {
    const int lane = stand_in::lane();
    return stand_in::value_of<T>(stand_in::exchange(stand_in::bits_of(value), mask)[(lane ^ apart) & 31]);
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned apart) {
    const int lane = stand_in::lane(), from = lane - static_cast<int>(apart);
    return stand_in::value_of<T>(stand_in::exchange(stand_in::bits_of(value), mask)[from < 0 ? lane : from]);
}

inline unsigned __ballot_sync(unsigned mask, int is_true) {
    const std::uint64_t* all = stand_in::exchange(is_true != 0 ? 1 : 0, mask);
    unsigned bits = 0;
    for (int lane = 0; lane < 32; ++lane) bits |= static_cast<unsigned>(all[lane]) << lane;
    return bits;
}

inline int __any_sync(unsigned mask, int is_true) {
    return __ballot_sync(mask, is_true) != 0 ? 1 : 0;
}

inline int __popc(unsigned bits) {
    return __builtin_popcount(bits);
}

inline int __ffs(unsigned bits) {
    return __builtin_ffs(static_cast<int>(bits));
}

inline uint4 __ldcs(const uint4* at) {
    return *at;
}

inline int __dp4a(int a, int b, int sum) {
    for (int byte = 0; byte < 32; byte += 8) {
        sum += static_cast<std::int8_t>(a >> byte) * static_cast<std::int8_t>(b >> byte);
    }
    return sum;
}

inline unsigned __float_as_uint(float value) {
    return stand_in::value_of<unsigned>(stand_in::bits_of(value));
}

inline int __float_as_int(float value) {
    return stand_in::value_of<int>(stand_in::bits_of(value));
}

inline float __uint_as_float(unsigned bits) {
    return stand_in::value_of<float>(stand_in::bits_of(bits));
}

template <class T>
T atomicAdd(T* at, T value) {
    const T before = *at;
    *at = before + value;
    return before;
}

template <class T>
T atomicMax(T* at, T value) {
    const T before = *at;
    *at = std::max(before, value);
    return before;
}

template <class T>
T atomicCAS(T* at, T expected, T value) {
    const T before = *at;
    if (before == expected) *at = value;
    return before;
}

template <class T>
T atomicExch(T* at, T value) {
    const T before = *at;
    *at = value;
    return before;
}

inline void __threadfence_block() {}
