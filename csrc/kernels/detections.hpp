// How the cells of a detection head become faces. Arithmetic only: which cells are looked at is the schedule's affair.
#pragma once

#include <cmath>

#include "portable.hpp"

namespace pylfr {

struct Box {
    float left, top, right, bottom;
};

PYLFR_HD float area(const Box& box) {
    return larger(box.right - box.left, 0.0f) * larger(box.bottom - box.top, 0.0f);
}

// Intersection over union, 0 for boxes without area.
PYLFR_HD float overlap(const Box& a, const Box& b) {
    const float width = smaller(a.right, b.right) - larger(a.left, b.left);
    const float height = smaller(a.bottom, b.bottom) - larger(a.top, b.top);
    if (!(width > 0.0f) || !(height > 0.0f)) return 0.0f;
    const float both = width * height;
    return both / (area(a) + area(b) - both);
}

// YuNet's score of a cell: the geometric mean of class and objectness, each held to 0 .. 1. Item = cell.
struct ScoreYunet {
    const float* cls;  // [cells]
    const float* obj;  // [cells]
    float* score;      // [cells]

    PYLFR_HD void operator()(std::int64_t i) const {
        score[i] = ::sqrtf(clamped(cls[i], 0.0f, 1.0f) * clamped(obj[i], 0.0f, 1.0f));
    }
};

// Item = one of the cells that were picked.
struct DecodeYunet {
    const float* bbox;  // [cells, 4]: offset of the centre from the cell, logarithm of the size, in strides
    const float* kps;   // [cells, 10]: offsets from the cell, in strides
    const std::int64_t* cells;
    Box* boxes;
    float* landmarks;  // [picked, 5, 2]
    std::int32_t columns, stride;

    PYLFR_HD void operator()(std::int64_t i) const {
        const std::int64_t cell = cells[i];
        const auto column = static_cast<float>(cell % columns), row = static_cast<float>(cell / columns);
        const auto unit = static_cast<float>(stride);
        const float* offsets = bbox + 4 * cell;
        const float x = (column + offsets[0]) * unit, y = (row + offsets[1]) * unit;
        const float half_width = ::expf(offsets[2]) * unit * 0.5f, half_height = ::expf(offsets[3]) * unit * 0.5f;
        boxes[i] = Box{x - half_width, y - half_height, x + half_width, y + half_height};
        for (int k = 0; k < 10; k += 2) {
            landmarks[10 * i + k] = (column + kps[10 * cell + k]) * unit;
            landmarks[10 * i + k + 1] = (row + kps[10 * cell + k + 1]) * unit;
        }
    }
};

// SCRFD's score is the class score alone. Item = anchor of a cell.
struct ScoreScrfd {
    const float* cls;  // [anchors]
    float* score;      // [anchors]

    PYLFR_HD void operator()(std::int64_t i) const { score[i] = clamped(cls[i], 0.0f, 1.0f); }
};

// Item = one of the anchors that were picked; the anchors of a cell follow each other.
struct DecodeScrfd {
    const float* distances;  // [anchors, 4]: from the cell's corner to left, top, right, bottom, in strides
    const float* kps;        // [anchors, 10]: offsets from the cell's corner, in strides
    const std::int64_t* cells;
    Box* boxes;
    float* landmarks;  // [picked, 5, 2]
    std::int32_t columns, stride, anchors;

    PYLFR_HD void operator()(std::int64_t i) const {
        const std::int64_t anchor = cells[i], cell = anchor / anchors;
        const auto unit = static_cast<float>(stride);
        const float x = static_cast<float>(cell % columns) * unit, y = static_cast<float>(cell / columns) * unit;
        const float* to = distances + 4 * anchor;
        boxes[i] = Box{x - to[0] * unit, y - to[1] * unit, x + to[2] * unit, y + to[3] * unit};
        for (int k = 0; k < 10; k += 2) {
            landmarks[10 * i + k] = x + kps[10 * anchor + k] * unit;
            landmarks[10 * i + k + 1] = y + kps[10 * anchor + k + 1] * unit;
        }
    }
};

}  // namespace pylfr
