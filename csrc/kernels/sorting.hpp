// Scores and rows in one number, and lists of such numbers sorted by the threads of a block.
#pragma once

#include "core/portable.hpp"

namespace pylfr {

// Larger for a better score, and of equal scores for the earlier row. 0 means none: not a number, or no row.
PYLFR_HD std::uint64_t key_of(float score, std::uint32_t row) {
    if (score != score) return 0;
    const std::uint32_t bits = bits_of(score + 0.0f);  // -0 and 0 are one score
    const std::uint32_t ordered = (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
    return static_cast<std::uint64_t>(ordered) << 32 | (0xffffffffu - row);
}

PYLFR_HD float score_of(std::uint64_t key) {
    const auto ordered = static_cast<std::uint32_t>(key >> 32);
    return float_of((ordered >> 31) != 0 ? ordered & 0x7fffffffu : ~ordered);
}

PYLFR_HD std::uint32_t row_of(std::uint64_t key) {
    return 0xffffffffu - static_cast<std::uint32_t>(key);
}

PYLFR_HD int power_of_two_from(int count) {
    int power = 1;
    while (power < count) power *= 2;
    return power;
}

// Largest first; `count` is a power of two. Bitonic (Batcher 1968): every step compares pairs that no other thread
// touches. Begins and ends with the threads synchronised.
template <class Block>
PYLFR_HD void sort_keys(const Block& block, std::uint64_t* keys, int count) {
    for (int size = 2; size <= count; size *= 2) {
        for (int apart = size / 2; apart > 0; apart /= 2) {
            block.barrier();
            for (int i = block.thread; i < count; i += block.threads) {
                const int j = i ^ apart;
                if (j < i) continue;
                const bool falls = (i & size) == 0;
                const std::uint64_t a = keys[i], b = keys[j];
                if ((a < b) == falls && a != b) {
                    keys[i] = b;
                    keys[j] = a;
                }
            }
        }
    }
    block.barrier();
}

}  // namespace pylfr
