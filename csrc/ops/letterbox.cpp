// The row schedule of the letterbox: what is the same for a whole row is done once.
#include "kernels/letterbox.hpp"

#include <algorithm>

#include "cpu/simd.hpp"
#include "ops/ops.hpp"

namespace pylfr {

namespace {

ColumnTaps column_taps(const Fit& fitting, std::int64_t target, std::int32_t columns) {
    ColumnTaps taps{std::vector<std::int32_t>(fitting.width), std::vector<float>(fitting.width)};
    for (std::int32_t x = 0; x < fitting.width; ++x) {
        const std::int32_t position = fixed_position(x, fitting.source, target, columns);
        taps.first[x] = position / tap_one;
        taps.weight[x] = static_cast<float>(position % tap_one);
    }
    return taps;
}

LetterboxScratch scratch_for(const Letterbox& job) {
    const PictureView& picture = job.picture;
    const bool is_yuv = picture.layout != Layout::rgb;
    LetterboxScratch scratch;
    scratch.luma = column_taps(job.fitting, job.fitting.target, picture.width);
    if (is_yuv) scratch.chroma = column_taps(job.fitting, 2 * job.fitting.target, picture.chroma_width());
    for (int c = 0; c < 3; ++c) {
        scratch.blended[c].assign((is_yuv && c > 0 ? picture.chroma_width() : picture.width) + 1, 0);
        scratch.sampled[c].resize(job.fitting.width);
    }
    return scratch;
}

// Right of the picture and below it.
void fill_black(const Letterbox& job) {
    for (int c = 0; c < 3; ++c) {
        const float black = (0.0f - job.mean[c]) * job.scale[c];
        float* plane = job.out + static_cast<std::int64_t>(c) * job.width * job.height;
        for (std::int32_t y = 0; y < job.fitting.height; ++y) {
            float* row = plane + static_cast<std::int64_t>(y) * job.width;
            std::fill(row + job.fitting.width, row + job.width, black);
        }
        std::fill(plane + static_cast<std::int64_t>(job.fitting.height) * job.width,
                  plane + static_cast<std::int64_t>(job.height) * job.width, black);
    }
}

}  // namespace

float letterbox(const PictureView& picture, float* out, std::int32_t width, std::int32_t height,
                const Encoding& encoding, bool per_pixel, Place place) {
    const Letterbox job{picture,
                        fit(picture, width, height),
                        out,
                        width,
                        height,
                        encoding.bgr,
                        {encoding.mean[0], encoding.mean[1], encoding.mean[2]},
                        {encoding.scale[0], encoding.scale[1], encoding.scale[2]}};
    if (per_pixel || place.device == Device::cuda) {
        launch(job, static_cast<std::int64_t>(width) * height, place);
    } else {
        LetterboxScratch scratch = scratch_for(job);
        for (std::int32_t y = 0; y < job.fitting.height; ++y) hot_loops().letterbox_row(job, scratch, y);
        fill_black(job);
    }
    return job.fitting.factor();
}

}  // namespace pylfr
