// Faces brought into a template's frame: the similarity that fits five landmarks, and pictures sampled along it.
#pragma once

#include "kernels/picture.hpp"

namespace pylfr {

constexpr int landmark_count = 5;

// x' = xx * x + xy * y + x0 and y' = yx * x + yy * y + y0; the memory of a [2, 3] matrix.
struct Affine {
    float xx, xy, x0, yx, yy, y0;
};

// The map from `goal` (template) to `points` (picture) whose inverse takes the points nearest to the goal in least
// squares: the residual is measured in the template's frame, as embedders are trained with. Turning, scaling and
// shifting only. In two dimensions Umeyama's solution (IEEE TPAMI 13(4), 1991) is the quotient of two sums of
// complex numbers. Points that coincide give a map of scale zero.
PYLFR_HD Affine fit_similarity(const float* points, const float* goal) {
    double px = 0, py = 0, gx = 0, gy = 0;
    for (int i = 0; i < landmark_count; ++i) {
        px += points[2 * i], py += points[2 * i + 1];
        gx += goal[2 * i], gy += goal[2 * i + 1];
    }
    px /= landmark_count, py /= landmark_count, gx /= landmark_count, gy /= landmark_count;
    double dot = 0, cross = 0, spread = 0;
    for (int i = 0; i < landmark_count; ++i) {
        const double ax = goal[2 * i] - gx, ay = goal[2 * i + 1] - gy;
        const double bx = points[2 * i] - px, by = points[2 * i + 1] - py;
        dot += ax * bx + ay * by;
        cross += ax * by - ay * bx;
        spread += bx * bx + by * by;
    }
    const double length = dot * dot + cross * cross;
    const double c = length > 0 ? spread * dot / length : 0;
    const double s = length > 0 ? spread * cross / length : 0;
    return Affine{static_cast<float>(c), static_cast<float>(-s), static_cast<float>(px - c * gx + s * gy),
                  static_cast<float>(s), static_cast<float>(c),  static_cast<float>(py - s * gx - c * gy)};
}

// Item = face.
struct FitSimilarity {
    const float* landmarks;  // [N, 5, 2]
    const float* goal;       // [5, 2]
    Affine* to_frame;        // [N]

    PYLFR_HD void operator()(std::int64_t i) const {
        to_frame[i] = fit_similarity(landmarks + i * 2 * landmark_count, goal);
    }
};

PYLFR_HD Rgb sample_along(const PictureView& picture, const Affine& map, float x, float y) {
    return sample_rgb_on_black(picture, map.xx * x + map.xy * y + map.x0, map.yx * x + map.yy * y + map.y0);
}

// Item = one pixel of one crop.
struct Warp {
    const PictureView* pictures;
    const std::int32_t* picture_index;  // [N]
    const Affine* to_frame;             // [N]
    float* out;                         // [N, 3, side, side]
    std::int32_t side;
    bool bgr;
    float mean[3], scale[3];  // in the order of the planes of `out`

    PYLFR_HD void operator()(std::int64_t i) const {
        const std::int64_t plane = static_cast<std::int64_t>(side) * side;
        const std::int64_t face = quotient(i, plane), pixel = i - face * plane, row = quotient(pixel, side);
        const auto x = static_cast<float>(pixel - row * side), y = static_cast<float>(row);
        const Rgb rgb = sample_along(pictures[picture_index[face]], to_frame[face], x, y);
        float* at = out + face * 3 * plane + pixel;
        at[0] = ((bgr ? rgb.b : rgb.r) - mean[0]) * scale[0];
        at[plane] = (rgb.g - mean[1]) * scale[1];
        at[2 * plane] = ((bgr ? rgb.r : rgb.b) - mean[2]) * scale[2];
    }
};

PYLFR_HD std::uint8_t nearest_level(float value) {
    return static_cast<std::uint8_t>(on_scale(value) + 0.5f);
}

// Item = one pixel of the crop.
struct CropRgb {
    PictureView picture;
    Affine to_frame;
    std::uint8_t* out;  // [height, width, 3]
    std::int32_t width;

    PYLFR_HD void operator()(std::int64_t i) const {
        const auto x = static_cast<float>(i % width), y = static_cast<float>(i / width);
        const Rgb rgb = sample_along(picture, to_frame, x, y);
        out[3 * i] = nearest_level(rgb.r);
        out[3 * i + 1] = nearest_level(rgb.g);
        out[3 * i + 2] = nearest_level(rgb.b);
    }
};

}  // namespace pylfr
