// IEEE 754 binary16 as CUDA names it. See cuda_runtime_api.h.
#pragma once

#include <cstdint>

struct __half {
    std::uint16_t bits;
};

inline __half __ushort_as_half(std::uint16_t bits) {
    return __half{bits};
}

inline std::uint16_t __half_as_ushort(__half half) {
    return half.bits;
}

inline float __half2float(__half half) {
    _Float16 value;
    __builtin_memcpy(&value, &half.bits, 2);
    return static_cast<float>(value);
}

inline __half __float2half_rn(float value) {
    const auto rounded = static_cast<_Float16>(value);
    __half half;
    __builtin_memcpy(&half.bits, &rounded, 2);
    return half;
}
