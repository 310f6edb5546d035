// Templates scaled to unit length.
#pragma once

#include <cmath>

#include "kernels/rows.hpp"

namespace pylfr {

// Each row scaled to unit length in place; a row of zeros stays one.
struct Normalise {
    float* rows;     // [N, dimension]
    float* lengths;  // [N]
    std::int64_t dimension;

    template <class Lanes>
    PYLFR_HD void operator()(const Lanes& lanes, std::int64_t i) const {
        float* row = rows + i * dimension;
        const float length = ::sqrtf(lanes.dot(row, row, dimension));
        if (lanes.is_first()) lengths[i] = length;
        if (!(length > 0.0f)) return;
        lanes.each([&](int l) {
            for (std::int64_t d = l; d < dimension; d += row_lanes) row[d] /= length;
        });
    }
};

}  // namespace pylfr
