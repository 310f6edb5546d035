// Constant-velocity Kalman filtering of a face's box. Centre, size and aspect do not disturb each other, so each is a
// filter of two numbers: a value and its rate.
#pragma once

#include "core/portable.hpp"
#include "kernels/detections.hpp"

namespace pylfr {

struct Axis {
    float value, rate;  // rate: a second
    float var_value, covar, var_rate;
};

// `drift` is the variance that the rate gains in a second (white acceleration).
PYLFR_HD void predict(Axis& axis, float seconds, float drift) {
    axis.value += axis.rate * seconds;
    axis.var_value += seconds * (2.0f * axis.covar + seconds * (axis.var_rate + seconds * drift / 3.0f));
    axis.covar += seconds * (axis.var_rate + seconds * drift / 2.0f);
    axis.var_rate += seconds * drift;
}

PYLFR_HD void correct(Axis& axis, float measured, float variance) {
    const float total = axis.var_value + variance;
    const float gain = axis.var_value / total, rate_gain = axis.covar / total;
    const float surprise = measured - axis.value;
    axis.value += gain * surprise;
    axis.rate += rate_gain * surprise;
    axis.var_rate -= rate_gain * axis.covar;
    axis.covar -= gain * axis.covar;
    axis.var_value -= gain * axis.var_value;
}

// Standard deviations, lengths in units of the face's size (the height of its box).
constexpr float measured_centre = 0.05f;
constexpr float measured_size = 0.05f;
constexpr float measured_aspect = 0.05f;
constexpr float first_rate = 3.0f;       // sizes a second: a brisk walk across the view is about six
constexpr float first_size_rate = 0.5f;  // sizes a second
constexpr float first_aspect_rate = 0.1f;
constexpr float drift_centre = 3.0f;  // gained by the rate in a second
constexpr float drift_size = 0.5f;
constexpr float drift_aspect = 0.1f;

PYLFR_HD float squared(float value) {
    return value * value;
}

struct Motion {
    Axis x, y, size, aspect;  // centre and height in pixels; width over height
};

struct Shape {
    float x, y, size, aspect;
};

PYLFR_HD Shape shape_of(const Box& box) {
    const float width = larger(box.right - box.left, 1.0f), height = larger(box.bottom - box.top, 1.0f);
    return Shape{(box.left + box.right) * 0.5f, (box.top + box.bottom) * 0.5f, height, width / height};
}

PYLFR_HD float size_of(const Motion& motion) {
    return larger(motion.size.value, 1.0f);
}

PYLFR_HD Box box_of(const Motion& motion) {
    const float half_height = size_of(motion) * 0.5f;
    const float half_width = half_height * clamped(motion.aspect.value, 0.2f, 5.0f);
    return Box{motion.x.value - half_width, motion.y.value - half_height, motion.x.value + half_width,
               motion.y.value + half_height};
}

PYLFR_HD Axis first_axis(float value, float value_sd, float rate_sd) {
    return Axis{value, 0.0f, squared(value_sd), 0.0f, squared(rate_sd)};
}

PYLFR_HD Motion first_motion(const Box& box) {
    const Shape seen = shape_of(box);
    return Motion{first_axis(seen.x, measured_centre * seen.size, first_rate * seen.size),
                  first_axis(seen.y, measured_centre * seen.size, first_rate * seen.size),
                  first_axis(seen.size, measured_size * seen.size, first_size_rate * seen.size),
                  first_axis(seen.aspect, measured_aspect, first_aspect_rate)};
}

PYLFR_HD void predict(Motion& motion, float seconds) {
    const float size = size_of(motion);
    predict(motion.x, seconds, squared(drift_centre * size));
    predict(motion.y, seconds, squared(drift_centre * size));
    predict(motion.size, seconds, squared(drift_size * size));
    predict(motion.aspect, seconds, squared(drift_aspect));
}

PYLFR_HD void correct(Motion& motion, const Box& box) {
    const Shape seen = shape_of(box);
    correct(motion.x, seen.x, squared(measured_centre * seen.size));
    correct(motion.y, seen.y, squared(measured_centre * seen.size));
    correct(motion.size, seen.size, squared(measured_size * seen.size));
    correct(motion.aspect, seen.aspect, squared(measured_aspect));
}

// Squared distance of a box's centre from the predicted one, in standard deviations.
PYLFR_HD float surprise(const Motion& motion, const Box& box) {
    const Shape seen = shape_of(box);
    const float noise = squared(measured_centre * seen.size);
    return squared(seen.x - motion.x.value) / (motion.x.var_value + noise) +
           squared(seen.y - motion.y.value) / (motion.y.var_value + noise);
}

}  // namespace pylfr
