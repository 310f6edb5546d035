// The tensor cores' products of bytes and of halves, as PTX has them.
#pragma once

#include <cstdint>

namespace pylfr {

// 16 rows of 32 bytes times 8 probes of 32 bytes, added to sums [16, 8]; all lanes of a warp together.
//
// Lane l holds, with g = l / 4 and t = l % 4: of `rows` bytes 4t to 4t + 3 of row g and of row g + 8, then bytes 16 +
// 4t on of the same; of `probes` bytes 4t and 16 + 4t on of probe g; of `sums` probes 2t and 2t + 1 of row g, then of
// row g + 8. (PTX ISA, mma.m16n8k32 of 32 numbers of a byte each, and mma.m16n8k16 of 16 halves, which lie the same.)
__device__ __forceinline__ void multiply_tile(int (&sums)[4], const std::uint32_t (&rows)[4],
                                              const std::uint32_t (&probes)[2]) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
        : "r"(rows[0]), "r"(rows[1]), "r"(rows[2]), "r"(rows[3]), "r"(probes[0]), "r"(probes[1]));
}

__device__ __forceinline__ void multiply_tile(float (&sums)[4], const std::uint32_t (&rows)[4],
                                              const std::uint32_t (&probes)[2]) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(rows[0]), "r"(rows[1]), "r"(rows[2]), "r"(rows[3]), "r"(probes[0]), "r"(probes[1]));
}

}  // namespace pylfr
