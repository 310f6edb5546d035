// An exact search in two steps: all references are scored coarsely (in fp32, fp16 or int8), the best are kept with a
// bound on what was left out, and those few are scored again with the arithmetic of `dot`, to the same bits everywhere.
#pragma once

#include <cmath>

#include "kernels/half.hpp"
#include "kernels/search.hpp"
#include "kernels/sorting.hpp"

namespace pylfr {

enum class Precision { float32, float16, int8 };

constexpr int list_length = 32;         // a warp keeps one key a lane
constexpr int scan_warps = 8;           // in a block
constexpr int rows_at_once = 4;         // that a lane loads before it multiplies
constexpr int few_probes = 4;           // more are multiplied by tensor cores, except in float32
constexpr int most_probes_at_once = 8;  // of a scan without tensor cores

// The longest template.
constexpr int most_numbers = 1024;

// Each format says how a chunk of a reference meets the chunks of a probe that belong to it. The order of the products
// of one lane is fixed; lanes are added in pairs, see `scan` in ops/search_index.cpp and cuda/scan_rows.hpp.
struct Floats {
    using Sum = float;
    static constexpr int probe_chunks = 1;  // for one chunk of a reference
    static constexpr int numbers = 4;       // in a chunk
    static constexpr bool is_scaled = false;

    PYLFR_HD static void add(Sum& sum, const Chunk& reference, const Chunk* probe) {
        for (int i = 0; i < 4; ++i) sum += float_of(reference.word[i]) * float_of(probe->word[i]);
    }
    PYLFR_HD static float score(Sum sum, float, float) { return sum; }
};

// Of few probes, which stay float32.
struct Halves {
    using Sum = float;
    static constexpr int probe_chunks = 2;
    static constexpr int numbers = 8;
    static constexpr bool is_scaled = false;

    PYLFR_HD static void add(Sum& sum, const Chunk& reference, const Chunk* probe) {
        for (int i = 0; i < 4; ++i) {
            const std::uint32_t pair = reference.word[i];
            sum += float_of_half(static_cast<std::uint16_t>(pair)) * float_of(probe[i / 2].word[2 * i % 4]);
            sum += float_of_half(static_cast<std::uint16_t>(pair >> 16)) * float_of(probe[i / 2].word[2 * i % 4 + 1]);
        }
    }
    PYLFR_HD static float score(Sum sum, float, float) { return sum; }
};

// Of more probes, which are rounded as the references are: so tensor cores need them.
struct RoundedHalves {
    using Sum = float;
    static constexpr int probe_chunks = 1;
    static constexpr int numbers = 8;
    static constexpr bool is_scaled = false;

    PYLFR_HD static void add(Sum& sum, const Chunk& reference, const Chunk* probe) {
        for (int i = 0; i < 4; ++i) {
            for (int half = 0; half < 32; half += 16) {
                sum += float_of_half(static_cast<std::uint16_t>(reference.word[i] >> half)) *
                       float_of_half(static_cast<std::uint16_t>(probe->word[i] >> half));
            }
        }
    }
    PYLFR_HD static float score(Sum sum, float, float) { return sum; }
};

struct Bytes {
    using Sum = std::int32_t;
    static constexpr int probe_chunks = 1;
    static constexpr int numbers = 16;
    static constexpr bool is_scaled = true;

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

// The precision in which so many probes are scanned for in an index.
PYLFR_HD Precision precision_of_probes(Precision index, int probes) {
    return index == Precision::float16 && probes <= few_probes ? Precision::float32 : index;
}

// How many neighbouring lanes read a row together: one for each chunk, from 8, as a template of 128 numbers needs, to
// 32.
PYLFR_HD int scan_lanes(Precision precision, int chunks) {
    const int fewest = precision == Precision::float32 ? 32 : precision == Precision::float16 ? 16 : 8;
    return clamped(power_of_two_from(chunks), fewest, 32);
}

// Rows brought into a format, filled up with zeros to whole chunks.
struct Quantise {
    const float* rows;  // [N, dimension], `row_numbers` apart
    std::int64_t row_numbers, dimension, padded;
    Precision precision;
    void* out;          // [N, padded] float32, uint16 halves or int8
    float* scales;      // [N], int8: the value of one step
    float* errors;      // [N]: the length of what rounding took from a row; or null
    float* most_error;  // the largest of them, raised from 0; or null

    template <class Lanes>
    PYLFR_HD void operator()(const Lanes& lanes, std::int64_t i) const {
        const float* row = rows + i * row_numbers;
        float scale = 1.0f;
        if (precision == Precision::int8) {
            scale = lanes.largest([&](int l) {
                float most = 0.0f;
                for (std::int64_t d = l; d < dimension; d += row_lanes) most = larger(most, ::fabsf(row[d]));
                return most;
            });
            scale /= 127.0f;
            if (lanes.is_first()) scales[i] = scale;
        }
        const float lost = lanes.sum([&](int l) {
            float own = 0.0f;
            for (std::int64_t d = l; d < padded; d += row_lanes) {
                const float value = d < dimension ? row[d] : 0.0f;
                const float difference = value - written(i * padded + d, value, scale);
                own += difference * difference;
            }
            return own;
        });
        if (!lanes.is_first()) return;
        const float error = ::sqrtf(lost);
        if (errors != nullptr) errors[i] = error;
        if (most_error != nullptr) raise_to(most_error, error);
    }

 private:
    // Writes a number in the format; returns what it is worth there.
    PYLFR_HD float written(std::int64_t at, float value, float scale) const {
        if (precision == Precision::int8) {
            const float step = scale > 0.0f ? clamped(::rintf(value / scale), -127.0f, 127.0f) : 0.0f;
            static_cast<std::int8_t*>(out)[at] = static_cast<std::int8_t>(step);
            return step * scale;
        }
        if (precision == Precision::float16) {
            const std::uint16_t half = half_of(value);
            static_cast<std::uint16_t*>(out)[at] = half;
            return float_of_half(half);
        }
        static_cast<float*>(out)[at] = value;
        return value;
    }
};

// All that a scan reads and writes. Warps take turns of rows; each keeps its best, each block the best of its warps.
struct Scan {
    const Chunk* references;  // [count, chunks]
    const float* scales;      // [count], int8
    std::int64_t count;
    std::int32_t chunks;        // of a reference
    const Chunk* probes;        // [probe_count, chunks * probe_chunks]
    const float* probe_scales;  // [probe_count], int8
    std::int32_t probe_count, blocks;
    std::uint64_t* lists;   // [probe_count, blocks, list_length], best first
    std::uint64_t* bounds;  // [probe_count, blocks]: the best key that a block left out
};

// Group = probe * lists_out + number: up to `fan` lists into one.
struct MergeLists {
    static constexpr int most_keys = 2048;

    struct Memory {
        std::uint64_t keys[most_keys];
    };

    const std::uint64_t* lists;   // [probes, lists_in, length], best first
    const std::uint64_t* bounds;  // [probes, lists_in]
    std::int32_t lists_in, length, fan, lists_out, kept;
    std::uint64_t* out;         // [probes, lists_out, kept]
    std::uint64_t* out_bounds;  // [probes, lists_out]

    template <class Block>
    PYLFR_HD void operator()(const Block& block, std::int64_t group, Memory& memory) const {
        const std::int64_t probe = group / lists_out, number = group % lists_out;
        const std::int64_t first = probe * lists_in + number * fan;
        const int present = smaller<int>(fan, lists_in - static_cast<int>(number) * fan);
        const int count = present * length, room = power_of_two_from(count);
        for (int i = block.thread; i < room; i += block.threads) {
            memory.keys[i] = i < count ? lists[first * length + i] : 0;
        }
        sort_keys(block, memory.keys, room);
        for (int i = block.thread; i < kept; i += block.threads) out[group * kept + i] = i < room ? memory.keys[i] : 0;
        if (block.thread != 0) return;
        std::uint64_t bound = kept < room ? memory.keys[kept] : 0;
        for (int i = 0; i < present; ++i) bound = larger(bound, bounds[first + i]);
        out_bounds[group] = bound;
    }
};

// Exact scores of what was kept. Row = probe * kept + place.
struct ScoreAgain {
    const float* probes;      // [probes, dimension]
    const float* references;  // [count, row_numbers], the exact ones
    std::int64_t dimension, row_numbers;
    const std::uint64_t* keys;    // [probes, kept]
    const std::uint64_t* bounds;  // [probes]
    const float* probe_errors;    // [probes]
    std::int32_t kept;
    float* out;  // [probes, 2 * kept + 2]: scores, the bits of rows (-1: none), the coarse bound, the probe's error

    template <class Lanes>
    PYLFR_HD void operator()(const Lanes& lanes, std::int64_t i) const {
        const std::int64_t probe = quotient(i, kept), place = i - probe * kept;
        float* row_out = out + probe * (2 * kept + 2);
        const std::uint64_t key = keys[i];
        const float* reference = references + (key == 0 ? 0 : static_cast<std::int64_t>(row_of(key))) * row_numbers;
        const float score = key == 0 ? -1.0f : lanes.dot(probes + probe * dimension, reference, dimension);
        if (!lanes.is_first()) return;
        row_out[place] = score;
        row_out[kept + place] = float_of(key == 0 ? 0xffffffffu : row_of(key));
        if (place != 0) return;
        row_out[2 * kept] = bounds[probe] == 0 ? -2.0f : score_of(bounds[probe]);
        row_out[2 * kept + 1] = probe_errors[probe];
    }
};

// Row = probe * count + reference.
struct ScoreAll {
    const float* probes;      // [probes, dimension]
    const float* references;  // [count, row_numbers]
    std::int64_t dimension, row_numbers, count;
    float* out;  // [probes, count]

    template <class Lanes>
    PYLFR_HD void operator()(const Lanes& lanes, std::int64_t i) const {
        const std::int64_t probe = i / count, row = i - probe * count;
        const float score = lanes.dot(probes + probe * dimension, references + row * row_numbers, dimension);
        if (lanes.is_first()) out[i] = score;
    }
};

}  // namespace pylfr
