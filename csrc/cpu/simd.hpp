// The few loops that decide how fast the core is, compiled once for each instruction set and chosen at run time.
// They do the arithmetic of the kernels in another order of items; every variant gives the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/align.hpp"
#include "kernels/letterbox.hpp"

namespace pylfr {

// For each network column, where its left tap lies in a plane's row and how much the right one weighs.
struct ColumnTaps {
    std::vector<std::int32_t> first;
    std::vector<float> weight;
};

// Memory for one network row, made once a picture. Rows end in one spare element: the right tap of the last column.
struct LetterboxScratch {
    ColumnTaps luma, chroma;
    std::vector<std::int16_t> blended[3];  // source columns, blended between two rows
    std::vector<float> sampled[3];         // network columns, 0 to 255
};

struct HotLoops {
    const char* simd_level;
    // Writes the covered pixels of network row `y`.
    void (*letterbox_row)(const Letterbox& job, LetterboxScratch& scratch, std::int32_t y);
    // Writes row `row` of the crop of `face`.
    void (*warp_row)(const Warp& job, std::int64_t face, std::int32_t row);
    // scores[p * score_stride + r] = probe p . reference r, for `probes` x `references` rows of `dimension`.
    void (*dot_products)(const float* probes, std::int64_t probe_count, const float* references,
                         std::int64_t reference_count, std::int64_t dimension, float* scores,
                         std::int64_t score_stride);
};

// The best set that this processor runs, or the lesser one that the environment's PYLFR_SIMD names: "avx512", "avx2"
// or "plain". Read once.
const HotLoops& hot_loops();

}  // namespace pylfr
