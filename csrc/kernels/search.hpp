// Dot products of templates. The order of summation is fixed, so every schedule gives the same bits.
#pragma once

#include <cmath>

#include "core/portable.hpp"

namespace pylfr {

constexpr int dot_lanes = 8;

// Lane l sums the products at l, l + 8, l + 16, ...; then the lanes are added in pairs.
PYLFR_HD float sum_of_lanes(const float* lanes) {
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

PYLFR_HD float dot(const float* a, const float* b, std::int64_t dimension) {
    float lanes[dot_lanes] = {};
    std::int64_t d = 0;
    for (; d + dot_lanes <= dimension; d += dot_lanes) {
        for (int l = 0; l < dot_lanes; ++l) lanes[l] += a[d + l] * b[d + l];
    }
    for (int l = 0; d + l < dimension; ++l) lanes[l] += a[d + l] * b[d + l];
    return sum_of_lanes(lanes);
}

// Each row scaled to unit length in place; a row of zeros stays one. Item = row.
struct Normalise {
    float* rows;     // [N, dimension]
    float* lengths;  // [N]
    std::int64_t dimension;

    PYLFR_HD void operator()(std::int64_t i) const {
        float* row = rows + i * dimension;
        const float length = ::sqrtf(dot(row, row, dimension));
        lengths[i] = length;
        if (!(length > 0.0f)) return;
        for (std::int64_t d = 0; d < dimension; ++d) row[d] /= length;
    }
};

}  // namespace pylfr
