// A picture fitted into a network's input, top left, aspect kept, straight from its planes.
//
// Bilinear in integers: positions are rounded to 1/128 pixel, so a blend over both axes has 14 bits of fraction and
// is exact in float32. The schedules by rows (ops/letterbox.cpp), by pixels and by tiles give the same bits.
#pragma once

#include "kernels/half.hpp"
#include "kernels/picture.hpp"

namespace pylfr {

constexpr int tap_bits = 7;
constexpr std::int32_t tap_one = 1 << tap_bits;

// How a picture fits: `source` pixels of it become `target` pixels of the network on both axes.
struct Fit {
    std::int64_t source, target;
    std::int32_t width, height;  // network pixels that the picture covers

    PYLFR_HD float factor() const {
        return static_cast<float>(static_cast<double>(target) / static_cast<double>(source));
    }
};

PYLFR_HD std::int32_t fitted(std::int64_t length, std::int64_t source, std::int64_t target, std::int64_t most) {
    return static_cast<std::int32_t>(
        clamped(quotient(2 * length * target + source, 2 * source), std::int64_t{1}, most));  // rounded half up
}

PYLFR_HD Fit fit(const PictureView& picture, std::int32_t width, std::int32_t height) {
    const std::int64_t w = picture.width, h = picture.height;
    const bool by_width = width * h <= height * w;
    const std::int64_t source = by_width ? w : h;
    const std::int64_t target = by_width ? width : height;
    return Fit{source, target, fitted(w, source, target, width), fitted(h, source, target, height)};
}

// Position of network pixel `d`, in 1/128 pixel of a plane of `size` pixels: (d + 0.5) * source / target - 0.5,
// rounded half up and held inside. For chroma `target` is doubled.
PYLFR_HD std::int32_t fixed_position(std::int64_t d, std::int64_t source, std::int64_t target, std::int32_t size) {
    const std::int64_t above = (2 * d + 1) * source * tap_one - (tap_one - 1) * target;
    if (above <= 0) return 0;
    return static_cast<std::int32_t>(
        smaller(quotient(above, 2 * target), static_cast<std::int64_t>(size - 1) * tap_one));
}

// The blend at a position in 1/128 pixel of a plane; `step` bytes lie from one pixel of a row to the next.
PYLFR_HD float sample_fixed(const std::uint8_t* plane, std::int64_t row_bytes, int step, std::int32_t columns,
                            std::int32_t rows, std::int32_t x, std::int32_t y) {
    const std::int64_t left = static_cast<std::int64_t>(x / tap_one) * step;
    const std::int64_t right = static_cast<std::int64_t>(smaller(x / tap_one + 1, columns - 1)) * step;
    const std::uint8_t* upper = plane + (y / tap_one) * row_bytes;
    const std::uint8_t* lower = plane + smaller(y / tap_one + 1, rows - 1) * row_bytes;
    const std::int32_t wx = x % tap_one, wy = y % tap_one;
    const std::int32_t at_left = upper[left] * (tap_one - wy) + lower[left] * wy;
    const std::int32_t at_right = upper[right] * (tap_one - wy) + lower[right] * wy;
    return static_cast<float>(at_left * (tap_one - wx) + at_right * wx) * (1.0f / (tap_one * tap_one));
}

// One output pixel of one picture: item = y * width + x.
struct Letterbox {
    PictureView picture;
    Fit fitting;
    float* out;  // [3, height, width]
    std::int32_t width, height;
    bool bgr;
    float mean[3], scale[3];  // in the order of the planes of `out`

    PYLFR_HD Rgb at(std::int32_t x, std::int32_t y) const {
        const std::int32_t fx = fixed_position(x, fitting.source, fitting.target, picture.width);
        const std::int32_t fy = fixed_position(y, fitting.source, fitting.target, picture.height);
        const std::uint8_t* plane = picture.planes[0];
        const std::int64_t row = picture.row_bytes[0];
        if (picture.layout == Layout::rgb) {
            return Rgb{sample_fixed(plane, row, 3, picture.width, picture.height, fx, fy),
                       sample_fixed(plane + 1, row, 3, picture.width, picture.height, fx, fy),
                       sample_fixed(plane + 2, row, 3, picture.width, picture.height, fx, fy)};
        }
        const std::int32_t columns = picture.chroma_width(), rows = picture.chroma_height();
        const std::int32_t cx = fixed_position(x, fitting.source, 2 * fitting.target, columns);
        const std::int32_t cy = fixed_position(y, fitting.source, 2 * fitting.target, rows);
        const bool packed = picture.layout == Layout::nv12;
        const int step = packed ? 2 : 1;
        const std::uint8_t* v_plane = packed ? picture.planes[1] + 1 : picture.planes[2];
        const std::int64_t v_row = packed ? picture.row_bytes[1] : picture.row_bytes[2];
        return to_rgb(picture.colour, sample_fixed(plane, row, 1, picture.width, picture.height, fx, fy),
                      sample_fixed(picture.planes[1], picture.row_bytes[1], step, columns, rows, cx, cy),
                      sample_fixed(v_plane, v_row, step, columns, rows, cx, cy));
    }

    PYLFR_HD void operator()(std::int64_t i) const {
        const auto y = static_cast<std::int32_t>(quotient(i, width));
        const auto x = static_cast<std::int32_t>(i - static_cast<std::int64_t>(y) * width);
        const bool covered = x < fitting.width && y < fitting.height;
        const Rgb rgb = covered ? at(x, y) : Rgb{0.0f, 0.0f, 0.0f};
        const std::int64_t plane = static_cast<std::int64_t>(width) * height;
        out[i] = ((bgr ? rgb.b : rgb.r) - mean[0]) * scale[0];
        out[plane + i] = (rgb.g - mean[1]) * scale[1];
        out[2 * plane + i] = ((bgr ? rgb.r : rgb.b) - mean[2]) * scale[2];
    }
};

// Whole pictures of a batch, a group a tile: where the taps of a row and of a column lie is worked out once for it.
struct LetterboxTiles {
    static constexpr int tile_width = 128, tile_height = 16;

    // What one network row or column samples of a plane: the bytes from the plane's start to two rows or pixels, and
    // the weight of the second, in 1/128.
    struct Pair {
        std::int64_t first, second;
        std::int32_t weight;
    };

    // One for each plane: Y, U and V, or R, G and B.
    struct Pairs {
        Pair plane[3];
    };

    struct Memory {
        Fit fitting;
        Pairs columns[tile_width], rows[tile_height];
        alignas(16) std::uint16_t halves[tile_height][3 * tile_width];
    };

    const PictureView* pictures;
    void* out;  // float32 [B, 3, height, width], or float16 [B, height, width, 3] where `is_half`
    std::int32_t width, height, across, down;  // pixels; tiles of a picture
    bool is_half, bgr;
    float mean[3], scale[3];

    PYLFR_HD static std::int32_t tiles(std::int32_t pixels, std::int32_t of_a_tile) {
        return (pixels + of_a_tile - 1) / of_a_tile;
    }

    template <class Block>
    PYLFR_HD void operator()(const Block& block, std::int64_t group, Memory& memory) const {
        const std::int64_t each = static_cast<std::int64_t>(across) * down, image = quotient(group, each);
        const auto tile = static_cast<std::int32_t>(group - image * each), line = tile / across;
        const std::int32_t left = (tile - line * across) * tile_width, top = line * tile_height;
        const PictureView& picture = pictures[image];
        if (block.thread == 0) memory.fitting = fit(picture, width, height);
        block.barrier();
        const Fit fitting = memory.fitting;
        find_pairs(block, picture, fitting, left, top, memory);
        block.barrier();
        const bool is_rgb = picture.layout == Layout::rgb, is_packed = picture.layout == Layout::nv12;
        const std::uint8_t* planes[3] = {picture.planes[0], is_rgb ? picture.planes[0] + 1 : picture.planes[1],
                                         is_rgb      ? picture.planes[0] + 2
                                         : is_packed ? picture.planes[1] + 1
                                                     : picture.planes[2]};
        const Colour colour = picture.colour;
        // A thread of a block of 256 stays in its column.
        const int columns_at_once = smaller(block.threads, tile_width), rows_at_once = block.threads / columns_at_once;
        for (int column = block.thread % columns_at_once; column < tile_width; column += columns_at_once) {
            const std::int32_t x = left + column;
            if (x >= width) break;
            const Pairs across_it = memory.columns[column];
            for (int row = block.thread / columns_at_once; row < tile_height; row += rows_at_once) {
                const std::int32_t y = top + row;
                if (y >= height) break;
                Rgb rgb{0.0f, 0.0f, 0.0f};
                if (x < fitting.width && y < fitting.height) {
                    const Pairs& down_it = memory.rows[row];
                    float value[3];
                    for (int c = 0; c < 3; ++c) value[c] = blend(planes[c], across_it.plane[c], down_it.plane[c]);
                    rgb = is_rgb ? Rgb{value[0], value[1], value[2]} : to_rgb(colour, value[0], value[1], value[2]);
                }
                const float values[3] = {((bgr ? rgb.b : rgb.r) - mean[0]) * scale[0], (rgb.g - mean[1]) * scale[1],
                                         ((bgr ? rgb.r : rgb.b) - mean[2]) * scale[2]};
                if (is_half) {
                    for (int c = 0; c < 3; ++c) memory.halves[row][3 * column + c] = half_of(values[c]);
                } else {
                    const std::int64_t plane = static_cast<std::int64_t>(width) * height;
                    float* at = static_cast<float*>(out) + 3 * plane * image + static_cast<std::int64_t>(y) * width + x;
                    for (int c = 0; c < 3; ++c) at[c * plane] = values[c];
                }
            }
        }
        if (!is_half) return;
        block.barrier();
        write_halves(block, image, left, top, memory);
    }

 private:
    template <class Block>
    PYLFR_HD void find_pairs(const Block& block, const PictureView& picture, const Fit& fitting, std::int32_t left,
                             std::int32_t top, Memory& memory) const {
        const bool is_rgb = picture.layout == Layout::rgb, is_packed = picture.layout == Layout::nv12;
        const std::int64_t u_row = picture.row_bytes[is_rgb ? 0 : 1];
        const std::int64_t v_row = picture.row_bytes[is_rgb ? 0 : is_packed ? 1 : 2];
        for (int i = block.thread; i < tile_width + tile_height; i += block.threads) {
            const bool is_column = i < tile_width;
            const std::int64_t at = is_column ? left + i : top + i - tile_width;
            const std::int32_t luma = is_column ? picture.width : picture.height;
            const std::int32_t chroma = is_column ? picture.chroma_width() : picture.chroma_height();
            const std::int32_t fine = fixed_position(at, fitting.source, fitting.target, luma);
            const std::int32_t coarse = is_rgb ? fine : fixed_position(at, fitting.source, 2 * fitting.target, chroma);
            Pairs& pairs = is_column ? memory.columns[i] : memory.rows[i - tile_width];
            const std::int64_t chroma_step = is_rgb ? 3 : is_packed ? 2 : 1;
            pairs.plane[0] = pair_at(fine, luma, is_column ? (is_rgb ? 3 : 1) : picture.row_bytes[0]);
            pairs.plane[1] = pair_at(coarse, is_rgb ? luma : chroma, is_column ? chroma_step : u_row);
            pairs.plane[2] = pair_at(coarse, is_rgb ? luma : chroma, is_column ? chroma_step : v_row);
        }
    }

    PYLFR_HD static Pair pair_at(std::int32_t position, std::int32_t size, std::int64_t step) {
        const std::int32_t first = position / tap_one;
        return Pair{first * step, smaller(first + 1, size - 1) * step, position % tap_one};
    }

    // As sample_fixed, to the bit.
    PYLFR_HD static float blend(const std::uint8_t* plane, const Pair& x, const Pair& y) {
        const std::uint8_t *upper = plane + y.first, *lower = plane + y.second;
        const std::int32_t at_left = upper[x.first] * (tap_one - y.weight) + lower[x.first] * y.weight;
        const std::int32_t at_right = upper[x.second] * (tap_one - y.weight) + lower[x.second] * y.weight;
        return static_cast<float>(at_left * (tap_one - x.weight) + at_right * x.weight) * (1.0f / (tap_one * tap_one));
    }

    // The tile's rows, whole words where a row of the picture is made of such: pixels of six bytes would be written in
    // three passes over the same sectors.
    template <class Block>
    PYLFR_HD void write_halves(const Block& block, std::int64_t image, std::int32_t left, std::int32_t top,
                               const Memory& memory) const {
        const std::int32_t columns = smaller(tile_width, width - left), rows = smaller(tile_height, height - top);
        auto* at =
            static_cast<std::uint16_t*>(out) + 3 * ((image * height + top) * static_cast<std::int64_t>(width) + left);
        // Eight pixels are 48 bytes.
        const bool are_words = width % 8 == 0 && reinterpret_cast<std::uintptr_t>(out) % sizeof(Chunk) == 0;
        const int numbers = are_words ? 8 : 1, each = 3 * columns / numbers;
        for (int i = block.thread; i < rows * each; i += block.threads) {
            const int row = i / each, place = (i - row * each) * numbers;
            std::uint16_t* to = at + 3 * static_cast<std::int64_t>(row) * width + place;
            if (are_words) {
                *reinterpret_cast<Chunk*>(to) = *reinterpret_cast<const Chunk*>(&memory.halves[row][place]);
            } else {
                *to = memory.halves[row][place];
            }
        }
    }
};

}  // namespace pylfr
