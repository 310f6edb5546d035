// How the cells of a detection head become faces. Arithmetic only: the schedule chooses the cells.
#pragma once

#include <cmath>

#include "core/portable.hpp"

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

// YuNet's score of a cell: the geometric mean of class and objectness, each held to 0 .. 1.
PYLFR_HD float yunet_score(float cls, float obj) {
    return ::sqrtf(clamped(cls, 0.0f, 1.0f) * clamped(obj, 0.0f, 1.0f));
}

// SCRFD's score is the class score alone.
PYLFR_HD float scrfd_score(float cls) {
    return clamped(cls, 0.0f, 1.0f);
}

// `offsets`: of the centre from the cell, and the logarithm of the size, in strides; `kps`: offsets from the cell.
PYLFR_HD Box yunet_face(const float* offsets, const float* kps, std::int64_t cell, std::int32_t columns,
                        std::int32_t stride, float* landmarks) {
    const std::int64_t line = quotient(cell, columns);
    const auto column = static_cast<float>(cell - line * columns), row = static_cast<float>(line);
    const auto unit = static_cast<float>(stride);
    const float x = (column + offsets[0]) * unit, y = (row + offsets[1]) * unit;
    const float half_width = ::expf(offsets[2]) * unit * 0.5f, half_height = ::expf(offsets[3]) * unit * 0.5f;
    for (int k = 0; k < 10; k += 2) {
        landmarks[k] = (column + kps[k]) * unit;
        landmarks[k + 1] = (row + kps[k + 1]) * unit;
    }
    return Box{x - half_width, y - half_height, x + half_width, y + half_height};
}

// `to`: from the cell's corner to left, top, right, bottom, in strides; `kps`: offsets from the corner.
PYLFR_HD Box scrfd_face(const float* to, const float* kps, std::int64_t cell, std::int32_t columns, std::int32_t stride,
                        float* landmarks) {
    const std::int64_t line = quotient(cell, columns);
    const auto unit = static_cast<float>(stride);
    const float x = static_cast<float>(cell - line * columns) * unit, y = static_cast<float>(line) * unit;
    for (int k = 0; k < 10; k += 2) {
        landmarks[k] = x + kps[k] * unit;
        landmarks[k + 1] = y + kps[k + 1] * unit;
    }
    return Box{x - to[0] * unit, y - to[1] * unit, x + to[2] * unit, y + to[3] * unit};
}

// Item = cell.
struct ScoreYunet {
    const float* cls;  // [cells]
    const float* obj;  // [cells]
    float* score;      // [cells]

    PYLFR_HD void operator()(std::int64_t i) const { score[i] = yunet_score(cls[i], obj[i]); }
};

// Item = one of the cells that were picked.
struct DecodeYunet {
    const float* bbox;  // [cells, 4]
    const float* kps;   // [cells, 10]
    const std::int64_t* cells;
    Box* boxes;
    float* landmarks;  // [picked, 5, 2]
    std::int32_t columns, stride;

    PYLFR_HD void operator()(std::int64_t i) const {
        const std::int64_t cell = cells[i];
        boxes[i] = yunet_face(bbox + 4 * cell, kps + 10 * cell, cell, columns, stride, landmarks + 10 * i);
    }
};

// Item = anchor of a cell.
struct ScoreScrfd {
    const float* cls;  // [anchors]
    float* score;      // [anchors]

    PYLFR_HD void operator()(std::int64_t i) const { score[i] = scrfd_score(cls[i]); }
};

// Item = one of the anchors that were picked; the anchors of a cell follow each other.
struct DecodeScrfd {
    const float* distances;  // [anchors, 4]
    const float* kps;        // [anchors, 10]
    const std::int64_t* cells;
    Box* boxes;
    float* landmarks;  // [picked, 5, 2]
    std::int32_t columns, stride, anchors;

    PYLFR_HD void operator()(std::int64_t i) const {
        const std::int64_t anchor = cells[i];
        boxes[i] = scrfd_face(distances + 4 * anchor, kps + 10 * anchor, quotient(anchor, anchors), columns, stride,
                              landmarks + 10 * i);
    }
};

}  // namespace pylfr
