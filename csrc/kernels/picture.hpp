// A frame's planes as kernels see them, and bilinear samples of them.
//
// A pixel's centre has whole coordinates. Chroma sits at the centre of its four luma pixels (MPEG-1 and JPEG siting),
// so luma position s is chroma position (s + 0.5) / 2 - 0.5.
#pragma once

#include "core/portable.hpp"
#include "kernels/colour.hpp"

namespace pylfr {

enum class Layout { i420, nv12, rgb };

struct PictureView {
    const std::uint8_t* planes[3];
    std::int64_t row_bytes[3];
    std::int32_t width, height;
    Layout layout;
    Colour colour;

    PYLFR_HD std::int32_t chroma_width() const { return (width + 1) / 2; }
    PYLFR_HD std::int32_t chroma_height() const { return (height + 1) / 2; }
};

// The two pixels between which a position on one axis lies; positions beyond the edge take the edge's pixel.
struct Taps {
    std::int32_t first, second;
    float weight;  // of the second
};

PYLFR_HD Taps taps_at(float position, std::int32_t size) {
    const float inside = clamped(position, 0.0f, static_cast<float>(size - 1));
    const auto first = static_cast<std::int32_t>(inside);
    return Taps{first, smaller(first + 1, size - 1), inside - static_cast<float>(first)};
}

PYLFR_HD float between(float a, float b, float weight) {
    return a + (b - a) * weight;
}

// `step` bytes lie from one pixel of a row to the next.
PYLFR_HD float sample(const std::uint8_t* plane, std::int64_t row_bytes, int step, Taps x, Taps y) {
    const std::uint8_t* upper = plane + y.first * row_bytes;
    const std::uint8_t* lower = plane + y.second * row_bytes;
    const std::int64_t left = static_cast<std::int64_t>(x.first) * step;
    const std::int64_t right = static_cast<std::int64_t>(x.second) * step;
    return between(between(upper[left], upper[right], x.weight), between(lower[left], lower[right], x.weight),
                   y.weight);
}

PYLFR_HD Rgb sample_rgb(const PictureView& picture, float x, float y) {
    const Taps tx = taps_at(x, picture.width);
    const Taps ty = taps_at(y, picture.height);
    if (picture.layout == Layout::rgb) {
        const std::uint8_t* plane = picture.planes[0];
        const std::int64_t row = picture.row_bytes[0];
        return Rgb{sample(plane, row, 3, tx, ty), sample(plane + 1, row, 3, tx, ty), sample(plane + 2, row, 3, tx, ty)};
    }
    const Taps cx = taps_at((x + 0.5f) * 0.5f - 0.5f, picture.chroma_width());
    const Taps cy = taps_at((y + 0.5f) * 0.5f - 0.5f, picture.chroma_height());
    const bool packed = picture.layout == Layout::nv12;
    const std::uint8_t* u_plane = picture.planes[1];
    const std::uint8_t* v_plane = packed ? picture.planes[1] + 1 : picture.planes[2];
    const std::int64_t v_row = packed ? picture.row_bytes[1] : picture.row_bytes[2];
    const int step = packed ? 2 : 1;
    return to_rgb(picture.colour, sample(picture.planes[0], picture.row_bytes[0], 1, tx, ty),
                  sample(u_plane, picture.row_bytes[1], step, cx, cy), sample(v_plane, v_row, step, cx, cy));
}

// Grey level 0 to 255; rows and columns beyond the edge repeat it.
PYLFR_HD float sample_grey(const PictureView& picture, float x, float y) {
    if (picture.layout == Layout::rgb) {
        const Rgb rgb = sample_rgb(picture, x, y);
        return 0.299f * rgb.r + 0.587f * rgb.g + 0.114f * rgb.b;
    }
    const float luma =
        sample(picture.planes[0], picture.row_bytes[0], 1, taps_at(x, picture.width), taps_at(y, picture.height));
    return on_scale(luma * picture.colour.luma + picture.colour.luma_0);
}

// How much of a bilinear sample at `position` lies on the axis: 1 inside, falling to 0 one pixel beyond either end.
PYLFR_HD float coverage(float position, std::int32_t size) {
    return clamped(smaller(position + 1.0f, static_cast<float>(size) - position), 0.0f, 1.0f);
}

// As sample_rgb, but what lies outside the picture is black.
PYLFR_HD Rgb sample_rgb_on_black(const PictureView& picture, float x, float y) {
    const float inside = coverage(x, picture.width) * coverage(y, picture.height);
    if (!(inside > 0.0f)) return Rgb{0.0f, 0.0f, 0.0f};
    const Rgb rgb = sample_rgb(picture, x, y);
    return Rgb{rgb.r * inside, rgb.g * inside, rgb.b * inside};
}

}  // namespace pylfr
