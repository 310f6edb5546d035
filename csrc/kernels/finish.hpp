// What follows a convolution in a network, in one pass over its output.
#pragma once

#include "kernels/half.hpp"

namespace pylfr {

// In place: + bias, + what a shortcut brings, then what is below zero times a slope (PReLU); null leaves a step out.
// `Number` is float, or std::uint16_t for halves, which are added up in float and rounded once. Item = 16 bytes.
template <class Number>
struct FinishConvolution {
    static constexpr int numbers = 16 / static_cast<int>(sizeof(Number));

    Chunk* values;          // [rows, chunks_a_row]: channels side by side
    const Chunk* bias;      // [chunks_a_row]
    const Chunk* shortcut;  // as `values`
    const Chunk* slope;     // [chunks_a_row]
    std::int64_t chunks_a_row;

    PYLFR_HD void operator()(std::int64_t i) const {
        const std::int64_t column = i - quotient(i, chunks_a_row) * chunks_a_row;
        float own[numbers];
        read(own, values[i]);
        if (bias != nullptr) add(own, bias[column]);
        if (shortcut != nullptr) add(own, shortcut[i]);
        if (slope != nullptr) {
            float steep[numbers];
            read(steep, slope[column]);
            for (int n = 0; n < numbers; ++n) own[n] = own[n] < 0.0f ? own[n] * steep[n] : own[n];
        }
        values[i] = written(own);
    }

 private:
    PYLFR_HD static void read(float (&to)[numbers], const Chunk& from) {
        for (int n = 0; n < numbers; ++n) {
            if constexpr (sizeof(Number) == 2) {
                to[n] = float_of_half(static_cast<std::uint16_t>(from.word[n / 2] >> (16 * (n % 2))));
            } else {
                to[n] = float_of(from.word[n]);
            }
        }
    }

    PYLFR_HD static void add(float (&to)[numbers], const Chunk& other) {
        float more[numbers];
        read(more, other);
        for (int n = 0; n < numbers; ++n) to[n] += more[n];
    }

    PYLFR_HD static Chunk written(const float (&from)[numbers]) {
        Chunk to;
        for (int w = 0; w < 4; ++w) {
            if constexpr (sizeof(Number) == 2) {
                const std::uint32_t low = half_of(from[2 * w]), high = half_of(from[2 * w + 1]);
                to.word[w] = low | high << 16;
            } else {
                to.word[w] = bits_of(from[w]);
            }
        }
        return to;
    }
};

}  // namespace pylfr
