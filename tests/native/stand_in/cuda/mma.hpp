// The tensor cores' product on a CPU, with the registers of each lane where PTX says that they are.
#pragma once

#include <cstdint>

#include "cuda_runtime.h"

namespace pylfr {

inline void multiply_bytes(int (&sums)[4], const std::uint32_t (&rows)[4], const std::uint32_t (&probes)[2]) {
    std::int8_t a[16][32], b[32][8];
    const auto place = [](std::int8_t* to, std::uint32_t word) { std::memcpy(to, &word, 4); };
    for (int half = 0; half < 2; ++half) {
        std::uint64_t both[32];
        std::memcpy(both, stand_in::exchange(rows[2 * half] | static_cast<std::uint64_t>(rows[2 * half + 1]) << 32),
                    sizeof(both));
        for (int lane = 0; lane < 32; ++lane) {
            place(&a[lane / 4][16 * half + 4 * (lane % 4)], static_cast<std::uint32_t>(both[lane]));
            place(&a[lane / 4 + 8][16 * half + 4 * (lane % 4)], static_cast<std::uint32_t>(both[lane] >> 32));
        }
    }
    std::uint64_t both[32];
    std::memcpy(both, stand_in::exchange(probes[0] | static_cast<std::uint64_t>(probes[1]) << 32), sizeof(both));
    for (int lane = 0; lane < 32; ++lane) {
        for (int byte = 0; byte < 4; ++byte) {
            b[4 * (lane % 4) + byte][lane / 4] = static_cast<std::int8_t>(both[lane] >> (8 * byte));
            b[16 + 4 * (lane % 4) + byte][lane / 4] = static_cast<std::int8_t>(both[lane] >> (32 + 8 * byte));
        }
    }
    const int own = stand_in::lane();
    for (int i = 0; i < 4; ++i) {
        const int row = own / 4 + 8 * (i / 2), column = 2 * (own % 4) + i % 2;
        for (int k = 0; k < 32; ++k) sums[i] += a[row][k] * b[k][column];
    }
}

}  // namespace pylfr
