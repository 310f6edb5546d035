// A picture fitted into a network's input, top left, aspect kept, straight from its planes.
//
// Bilinear in integers: positions are rounded to 1/128 pixel, so a blend over both axes has 14 bits of fraction and
// is exact in float32. The row schedule (letterbox.cpp) and this one, an item a pixel, give the same bits.
#pragma once

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

// One output pixel of one picture: item = y * width + x.
struct Letterbox {
    PictureView picture;
    Fit fitting;
    float* out;  // [3, height, width]
    std::int32_t width, height;
    bool bgr;
    float mean[3], scale[3];  // in the order of the planes of `out`

    PYLFR_HD float sample_fixed(const std::uint8_t* plane, std::int64_t row_bytes, int step, std::int32_t columns,
                                std::int32_t rows, std::int32_t x, std::int32_t y) const {
        const std::int64_t left = static_cast<std::int64_t>(x / tap_one) * step;
        const std::int64_t right = static_cast<std::int64_t>(smaller(x / tap_one + 1, columns - 1)) * step;
        const std::uint8_t* upper = plane + (y / tap_one) * row_bytes;
        const std::uint8_t* lower = plane + smaller(y / tap_one + 1, rows - 1) * row_bytes;
        const std::int32_t wx = x % tap_one, wy = y % tap_one;
        const std::int32_t at_left = upper[left] * (tap_one - wy) + lower[left] * wy;
        const std::int32_t at_right = upper[right] * (tap_one - wy) + lower[right] * wy;
        return static_cast<float>(at_left * (tap_one - wx) + at_right * wx) * (1.0f / (tap_one * tap_one));
    }

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

// A whole batch: item = (picture * height + y) * width + x.
struct LetterboxBatch {
    const PictureView* pictures;
    float* out;  // [B, 3, height, width]
    std::int32_t width, height;
    bool bgr;
    float mean[3], scale[3];

    PYLFR_HD void operator()(std::int64_t i) const {
        const std::int64_t plane = static_cast<std::int64_t>(width) * height;
        const std::int64_t b = quotient(i, plane);
        const PictureView& picture = pictures[b];
        const Letterbox one{picture, fit(picture, width, height), out + 3 * plane * b,           width, height,
                            bgr,     {mean[0], mean[1], mean[2]}, {scale[0], scale[1], scale[2]}};
        one(i - b * plane);
    }
};

}  // namespace pylfr
