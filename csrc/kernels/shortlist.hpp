// An exact search in two steps: all references are scored coarsely (in fp32, fp16 or int8), the best are kept with a
// bound on what was left out, and those few are scored again with the arithmetic of `dot`, to the same bits everywhere.
#pragma once

#include <cmath>

#include "kernels/search.hpp"
#include "kernels/sorting.hpp"

#ifdef __CUDACC__
#include <cuda_fp16.h>
#endif

namespace pylfr {

enum class Precision { float32, float16, int8 };

// What one thread loads at once.
struct alignas(16) Chunk {
    std::uint32_t word[4];
};

constexpr int list_length = 32;  // a warp keeps one key a lane
constexpr int scan_warps = 8;    // in a block
constexpr int rows_at_once = 4;  // that a lane loads before it multiplies
constexpr int most_probes_at_once = 8;

// IEEE 754 binary16, rounded to nearest, ties to even.
PYLFR_HD std::uint16_t half_of(float value) {
    const std::uint32_t bits = bits_of(value), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude >= 0x47800000u)
        return static_cast<std::uint16_t>(sign | (magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u));
    if (magnitude < 0x38800000u) {
        // Below 2^-14 a half counts in steps of 2^-24, as a float between 0.5 and 1 does: adding rounds it so.
        return static_cast<std::uint16_t>(sign | (bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u));
    }
    const std::uint32_t odd = (magnitude >> 13) & 1u;
    return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000u + 0x0fffu + odd) >> 13));
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

// Each format says how a chunk of a reference meets the chunks of a probe that belong to it. The order of the products
// of one lane is fixed; lanes are added in pairs, see `scan` in ops/search_index.cpp and cuda/search.cu.
struct Floats {
    using Sum = float;
    static constexpr int probe_chunks = 1;  // for one chunk of a reference
    static constexpr int numbers = 4;       // in a chunk

    PYLFR_HD static void add(Sum& sum, const Chunk& reference, const Chunk* probe) {
        for (int i = 0; i < 4; ++i) sum += float_of(reference.word[i]) * float_of(probe->word[i]);
    }
    PYLFR_HD static float score(Sum sum, float, float) { return sum; }
};

struct Halves {
    using Sum = float;
    static constexpr int probe_chunks = 2;
    static constexpr int numbers = 8;

    PYLFR_HD static void add(Sum& sum, const Chunk& reference, const Chunk* probe) {
        for (int i = 0; i < 4; ++i) {
            const std::uint32_t pair = reference.word[i];
            sum += float_of_half(static_cast<std::uint16_t>(pair)) * float_of(probe[i / 2].word[2 * i % 4]);
            sum += float_of_half(static_cast<std::uint16_t>(pair >> 16)) * float_of(probe[i / 2].word[2 * i % 4 + 1]);
        }
    }
    PYLFR_HD static float score(Sum sum, float, float) { return sum; }
};

struct Bytes {
    using Sum = std::int32_t;
    static constexpr int probe_chunks = 1;
    static constexpr int numbers = 16;

    PYLFR_HD static void add(Sum& sum, const Chunk& reference, const Chunk* probe) {
        for (int i = 0; i < 4; ++i) {
#ifdef __CUDA_ARCH__
            sum = __dp4a(static_cast<int>(reference.word[i]), static_cast<int>(probe->word[i]), sum);
#else
            for (int byte = 0; byte < 32; byte += 8) {
                sum += static_cast<std::int8_t>(reference.word[i] >> byte) *
                       static_cast<std::int8_t>(probe->word[i] >> byte);
            }
#endif
        }
    }
    PYLFR_HD static float score(Sum sum, float reference_scale, float probe_scale) {
        return static_cast<float>(sum) * (reference_scale * probe_scale);
    }
};

// Rows brought into a format, filled up with zeros to whole chunks. Item = row.
struct Quantise {
    const float* rows;  // [N, dimension], `row_numbers` apart
    std::int64_t row_numbers, dimension, padded;
    Precision precision;
    void* out;          // [N, padded] float32, uint16 halves or int8
    float* scales;      // [N], int8: what a step is worth
    float* errors;      // [N]: the length of what rounding took from a row; or null
    float* most_error;  // the largest of them, raised from 0; or null

    PYLFR_HD void operator()(std::int64_t i) const {
        const float* row = rows + i * row_numbers;
        float scale = 1.0f;
        if (precision == Precision::int8) {
            float largest = 0.0f;
            for (std::int64_t d = 0; d < dimension; ++d) largest = larger(largest, ::fabsf(row[d]));
            scale = largest / 127.0f;
            scales[i] = scale;
        }
        float lost = 0.0f;
        for (std::int64_t d = 0; d < padded; ++d) {
            const float value = d < dimension ? row[d] : 0.0f;
            float kept = value;
            if (precision == Precision::int8) {
                const float step = scale > 0.0f ? clamped(::rintf(value / scale), -127.0f, 127.0f) : 0.0f;
                static_cast<std::int8_t*>(out)[i * padded + d] = static_cast<std::int8_t>(step);
                kept = step * scale;
            } else if (precision == Precision::float16) {
                const std::uint16_t half = half_of(value);
                static_cast<std::uint16_t*>(out)[i * padded + d] = half;
                kept = float_of_half(half);
            } else {
                static_cast<float*>(out)[i * padded + d] = value;
            }
            lost += (value - kept) * (value - kept);
        }
        const float error = ::sqrtf(lost);
        if (errors != nullptr) errors[i] = error;
        if (most_error != nullptr) raise_to(most_error, error);
    }
};

// All that a scan reads and writes. Warps take turns of rows; each keeps its best, each block the best of its warps.
struct Scan {
    const Chunk* references;  // [count, chunks]
    const float* scales;      // [count], int8
    std::int64_t count;
    std::int32_t chunks;        // of a reference
    std::int32_t lanes_a_row;   // a power of two up to 32
    const Chunk* probes;        // [probe_count, chunks * probe_chunks]
    const float* probe_scales;  // [probe_count], int8
    std::int32_t probe_count, blocks;
    std::uint64_t* lists;   // [probe_count, blocks, list_length], best first
    std::uint64_t* bounds;  // [probe_count, blocks]: the best key that a block left out
};

// Group = probe * lists_out + number: up to `fan` lists into one.
struct MergeLists {
    static constexpr int fan = 64;

    struct Memory {
        std::uint64_t keys[fan * list_length];
    };

    const std::uint64_t* lists;   // [probes, lists_in, list_length]
    const std::uint64_t* bounds;  // [probes, lists_in]
    std::int32_t lists_in, lists_out, kept;
    std::uint64_t* out;         // [probes, lists_out, kept]
    std::uint64_t* out_bounds;  // [probes, lists_out]

    template <class Block>
    PYLFR_HD void operator()(const Block& block, std::int64_t group, Memory& memory) const {
        const std::int64_t probe = group / lists_out, number = group % lists_out;
        const std::int64_t first = probe * lists_in + number * fan;
        const int present = smaller<int>(fan, lists_in - static_cast<int>(number) * fan);
        const int count = present * list_length, room = power_of_two_from(count);
        for (int i = block.thread; i < room; i += block.threads) {
            memory.keys[i] = i < count ? lists[first * list_length + i] : 0;
        }
        sort_keys(block, memory.keys, room);
        for (int i = block.thread; i < kept; i += block.threads) out[group * kept + i] = i < room ? memory.keys[i] : 0;
        if (block.thread != 0) return;
        std::uint64_t bound = kept < room ? memory.keys[kept] : 0;
        for (int i = 0; i < present; ++i) bound = larger(bound, bounds[first + i]);
        out_bounds[group] = bound;
    }
};

// Exact scores of what was kept. Item = probe * kept + place.
struct ScoreAgain {
    const float* probes;      // [probes, dimension]
    const float* references;  // [count, row_numbers], the exact ones
    std::int64_t dimension, row_numbers;
    const std::uint64_t* keys;    // [probes, kept]
    const std::uint64_t* bounds;  // [probes]
    const float* probe_errors;    // [probes]
    std::int32_t kept;
    float* out;  // [probes, 2 * kept + 2]: scores, the bits of rows (-1: none), the coarse bound, the probe's error

    PYLFR_HD void operator()(std::int64_t i) const {
        const std::int64_t probe = quotient(i, kept), place = i - probe * kept;
        float* row_out = out + probe * (2 * kept + 2);
        const std::uint64_t key = keys[i];
        row_out[place] = key == 0 ? -1.0f
                                  : dot(probes + probe * dimension,
                                        references + static_cast<std::int64_t>(row_of(key)) * row_numbers, dimension);
        row_out[kept + place] = float_of(key == 0 ? 0xffffffffu : row_of(key));
        if (place != 0) return;
        row_out[2 * kept] = bounds[probe] == 0 ? -2.0f : score_of(bounds[probe]);
        row_out[2 * kept + 1] = probe_errors[probe];
    }
};

// Item = probe * count + reference.
struct ScoreAll {
    const float* probes;      // [probes, dimension]
    const float* references;  // [count, row_numbers]
    std::int64_t dimension, row_numbers, count;
    float* out;  // [probes, count]

    PYLFR_HD void operator()(std::int64_t i) const {
        const std::int64_t probe = quotient(i, count), row = i - probe * count;
        out[i] = dot(probes + probe * dimension, references + row * row_numbers, dimension);
    }
};

}  // namespace pylfr
