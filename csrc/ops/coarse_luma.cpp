// The mean luma of a picture's cells: what tells whether anything in it has changed.
#include <algorithm>
#include <vector>

#include "ops/ops.hpp"

namespace pylfr {

namespace {

// `step` bytes lie from one pixel of a row to the next.
template <int step>
void add_row(const std::uint8_t* row, std::int32_t width, std::uint16_t* sums) {
    std::uint16_t* __restrict into = sums;
    for (std::int32_t x = 0; x < width; ++x) into[x] = static_cast<std::uint16_t>(into[x] + row[x * step]);
}

}  // namespace

void coarse_luma(const PictureView& picture, std::int32_t cell, std::uint8_t* out) {
    const bool is_rgb = picture.layout == Layout::rgb;
    const std::uint8_t* luma = picture.planes[0] + (is_rgb ? 1 : 0);
    std::vector<std::uint16_t> sums(static_cast<std::size_t>(picture.width));
    for (std::int32_t top = 0; top < picture.height; top += cell) {
        std::fill(sums.begin(), sums.end(), std::uint16_t{0});
        std::int32_t rows = 0;
        for (std::int32_t y = top; y < std::min(top + cell, picture.height); y += 2, ++rows) {
            const std::uint8_t* row = luma + y * picture.row_bytes[0];
            if (is_rgb) {
                add_row<3>(row, picture.width, sums.data());
            } else {
                add_row<1>(row, picture.width, sums.data());
            }
        }
        for (std::int32_t left = 0; left < picture.width; left += cell) {
            const std::int32_t columns = std::min(cell, picture.width - left), pixels = rows * columns;
            std::int32_t sum = pixels / 2;
            for (std::int32_t x = left; x < left + columns; ++x) sum += sums[static_cast<std::size_t>(x)];
            *out++ = static_cast<std::uint8_t>(sum / pixels);
        }
    }
}

}  // namespace pylfr
