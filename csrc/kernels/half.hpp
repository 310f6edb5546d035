// Numbers of 16 bits.
#pragma once

#include "core/portable.hpp"

#ifdef __CUDACC__
#include <cuda_fp16.h>
#endif

namespace pylfr {

// IEEE 754 binary16, rounded to nearest, ties to even.
PYLFR_HD std::uint16_t half_of(float value) {
#ifdef __CUDA_ARCH__
    return __half_as_ushort(__float2half_rn(value));
#else
    const std::uint32_t bits = bits_of(value), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude >= 0x47800000u)
        return static_cast<std::uint16_t>(sign | (magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u));
    if (magnitude < 0x38800000u) {
        // Below 2^-14 a half counts in steps of 2^-24, as a float between 0.5 and 1 does: adding rounds it so.
        return static_cast<std::uint16_t>(sign | (bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u));
    }
    const std::uint32_t odd = (magnitude >> 13) & 1u;
    return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000u + 0x0fffu + odd) >> 13));
#endif
}

PYLFR_HD float float_of_half(std::uint16_t half) {
#ifdef __CUDA_ARCH__
    return __half2float(__ushort_as_half(half));
#else
    const std::uint32_t sign = (half & 0x8000u) << 16, exponent = (half >> 10) & 31u, fraction = half & 0x3ffu;
    if (exponent == 31) return float_of(sign | 0x7f800000u | fraction << 13);
    const float magnitude = exponent == 0 ? static_cast<float>(fraction) * (1.0f / 16777216.0f)
                                          : float_of((exponent + 112u) << 23 | fraction << 13);
    return sign != 0 ? -magnitude : magnitude;
#endif
}

}  // namespace pylfr
