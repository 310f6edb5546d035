// The tensor cores' products on a CPU, with the registers of each lane where PTX says that they are.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda_fp16.h"
#include "cuda_runtime.h"

namespace pylfr {

// What all lanes hold of 16 rows and of 8 probes, 32 bytes each.
struct Tile {
    std::uint8_t rows[16][32], probes[8][32];

    Tile(const std::uint32_t (&of_rows)[4], const std::uint32_t (&of_probes)[2]) {
        for (int half = 0; half < 2; ++half) {
            gather(of_rows[2 * half], of_rows[2 * half + 1], &rows[0][16 * half], &rows[8][16 * half]);
        }
        gather(of_probes[0], of_probes[1], &probes[0][0], &probes[0][16]);
    }

 private:
    // A word of each lane goes to line l / 4, four bytes at 4 * (l % 4), after `first` and after `second`.
    static void gather(std::uint32_t low, std::uint32_t high, std::uint8_t* first, std::uint8_t* second) {
        const std::uint64_t* both = stand_in::exchange(low | static_cast<std::uint64_t>(high) << 32);
        for (int lane = 0; lane < 32; ++lane) {
            const int at = lane / 4 * 32 + 4 * (lane % 4);
            const auto words = both[lane];
            for (int byte = 0; byte < 4; ++byte) {
                first[at + byte] = static_cast<std::uint8_t>(words >> (8 * byte));
                second[at + byte] = static_cast<std::uint8_t>(words >> (32 + 8 * byte));
            }
        }
    }
};

inline void multiply_tile(int (&sums)[4], const std::uint32_t (&rows)[4], const std::uint32_t (&probes)[2]) {
    const Tile tile(rows, probes);
    const int own = stand_in::lane();
    for (int i = 0; i < 4; ++i) {
        const int row = own / 4 + 8 * (i / 2), probe = 2 * (own % 4) + i % 2;
        for (int k = 0; k < 32; ++k) {
            sums[i] += static_cast<std::int8_t>(tile.rows[row][k]) * static_cast<std::int8_t>(tile.probes[probe][k]);
        }
    }
}

// As coarse as tensor cores were ever seen to be (Fasi et al., Numerical behavior of NVIDIA tensor cores, 2021): exact
// products are cut, not rounded, to 24 bits from the largest of all that is added, and so is the sum.
inline void multiply_tile(float (&sums)[4], const std::uint32_t (&rows)[4], const std::uint32_t (&probes)[2]) {
    const Tile tile(rows, probes);
    const int own = stand_in::lane();
    const auto half_at = [](const std::uint8_t* at) {
        return static_cast<double>(__half2float(__ushort_as_half(static_cast<std::uint16_t>(at[0] | at[1] << 8))));
    };
    for (int i = 0; i < 4; ++i) {
        const int row = own / 4 + 8 * (i / 2), probe = 2 * (own % 4) + i % 2;
        double added[17] = {sums[i]}, most = std::fabs(added[0]);
        for (int k = 0; k < 16; ++k) {
            added[k + 1] = half_at(&tile.rows[row][2 * k]) * half_at(&tile.probes[probe][2 * k]);
            most = std::max(most, std::fabs(added[k + 1]));
        }
        if (most == 0.0) continue;
        const double steps = std::ldexp(1.0, 23 - std::ilogb(most));  // of the last of 24 bits, in 1
        double sum = 0.0;
        for (const double each : added) sum += std::trunc(each * steps);
        sum /= steps;
        const auto near = static_cast<float>(sum);
        sums[i] = std::fabs(near) > std::fabs(sum) ? std::nextafterf(near, 0.0f) : near;
    }
}

}  // namespace pylfr
