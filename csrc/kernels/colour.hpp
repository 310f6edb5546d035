// YUV to RGB, both on the scale 0 to 255.
#pragma once

#include "core/portable.hpp"

namespace pylfr {

struct Rgb {
    float r, g, b;
};

// red = y * luma + v * red_v + red_0, and so on; made by `colour_of`.
struct Colour {
    float luma;
    float luma_0;  // added after `luma`: the grey level alone, full range
    float red_v, red_0;
    float green_u, green_v, green_0;
    float blue_u, blue_0;
};

// `kr` and `kb` are the weights of red and blue in luma (ITU-R BT.601, BT.709, BT.2020).
inline Colour colour_of(double kr, double kb, bool full_range) {
    const double kg = 1.0 - kr - kb;
    const double luma = full_range ? 1.0 : 255.0 / 219.0;
    const double chroma = full_range ? 1.0 : 255.0 / 224.0;
    const double black = full_range ? 0.0 : 16.0;
    const double red_v = 2.0 * (1.0 - kr) * chroma;
    const double blue_u = 2.0 * (1.0 - kb) * chroma;
    const double green_u = -blue_u * kb / kg;
    const double green_v = -red_v * kr / kg;
    return Colour{
        static_cast<float>(luma),
        static_cast<float>(-luma * black),
        static_cast<float>(red_v),
        static_cast<float>(-luma * black - 128.0 * red_v),
        static_cast<float>(green_u),
        static_cast<float>(green_v),
        static_cast<float>(-luma * black - 128.0 * (green_u + green_v)),
        static_cast<float>(blue_u),
        static_cast<float>(-luma * black - 128.0 * blue_u),
    };
}

PYLFR_HD float on_scale(float value) {
    return clamped(value, 0.0f, 255.0f);
}

// The order of the sums is fixed: every schedule gives the same bits.
PYLFR_HD Rgb to_rgb(const Colour& colour, float y, float u, float v) {
    const float grey = y * colour.luma;
    return Rgb{
        on_scale(grey + v * colour.red_v + colour.red_0),
        on_scale(grey + u * colour.green_u + v * colour.green_v + colour.green_0),
        on_scale(grey + u * colour.blue_u + colour.blue_0),
    };
}

}  // namespace pylfr
