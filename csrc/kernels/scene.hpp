// How light a picture is on a coarse grid: enough to tell scenes apart, and not people.
#pragma once

#include "kernels/picture.hpp"

namespace pylfr {

constexpr std::int32_t scene_rows = 18, scene_columns = 32;
constexpr std::int32_t scene_samples = 4;  // of a grid point, each way

// Item = grid point of a picture: the mean of its samples' luma, or of green in RGB. Sums are whole numbers, so that
// every schedule gives the same bits.
struct MeasureScene {
    const PictureView* pictures;
    float* out;  // [B, rows, columns]

    // Where sample `i` of `count` lies on an axis of `size` pixels.
    PYLFR_HD static std::int64_t position(std::int64_t i, std::int32_t count, std::int32_t size) {
        return quotient((2 * i + 1) * size, std::int64_t{2} * count);
    }

    PYLFR_HD void operator()(std::int64_t i) const {
        const std::int64_t line = quotient(i, std::int64_t{scene_columns}), column = i - line * scene_columns;
        const std::int64_t image = quotient(line, std::int64_t{scene_rows}), row = line - image * scene_rows;
        const PictureView& picture = pictures[image];
        const bool is_rgb = picture.layout == Layout::rgb;
        const std::uint8_t* plane = picture.planes[0] + (is_rgb ? 1 : 0);
        const int step = is_rgb ? 3 : 1;
        std::int32_t sum = 0;
        for (std::int32_t y = 0; y < scene_samples; ++y) {
            const std::int64_t at = position(row * scene_samples + y, scene_rows * scene_samples, picture.height);
            const std::uint8_t* pixels = plane + at * picture.row_bytes[0];
            for (std::int32_t x = 0; x < scene_samples; ++x) {
                const std::int64_t across =
                    position(column * scene_samples + x, scene_columns * scene_samples, picture.width);
                sum += pixels[across * step];
            }
        }
        out[i] = static_cast<float>(sum) / (scene_samples * scene_samples);
    }
};

}  // namespace pylfr
