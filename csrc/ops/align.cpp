// Faces into a template's frame, and what can be measured there.
#include "kernels/align.hpp"

#include "cpu/simd.hpp"
#include "kernels/quality.hpp"
#include "kernels/scene.hpp"
#include "ops/ops.hpp"

namespace pylfr {

void similarity(const float* landmarks, std::int64_t count, const float* goal, Affine* to_frame, Place place) {
    launch(FitSimilarity{landmarks, goal, to_frame}, count, place);
}

void warp(const PictureView* pictures, const std::int32_t* picture_index, const Affine* to_frame, std::int64_t count,
          float* out, std::int32_t side, const Encoding& encoding, bool per_pixel, Place place) {
    const Warp kernel{pictures,
                      picture_index,
                      to_frame,
                      out,
                      side,
                      encoding.bgr,
                      {encoding.mean[0], encoding.mean[1], encoding.mean[2]},
                      {encoding.scale[0], encoding.scale[1], encoding.scale[2]}};
    if (per_pixel || place.device == Device::cuda) {
        launch(kernel, count * side * side, place);
        return;
    }
    for (std::int64_t face = 0; face < count; ++face) {
        for (std::int32_t row = 0; row < side; ++row) hot_loops().warp_row(kernel, face, row);
    }
}

void crop_rgb(const PictureView& picture, const Affine& to_frame, std::uint8_t* out, std::int32_t width,
              std::int32_t height, Place place) {
    launch(CropRgb{picture, to_frame, out, width}, static_cast<std::int64_t>(width) * height, place);
}

void measure_quality(const PictureView* pictures, const std::int32_t* picture_index, const float* landmarks,
                     std::int64_t count, float* out, Place place) {
    const MeasureQuality program{pictures,           picture_index,   0, nullptr, landmarks, out,
                                 2 * landmark_count, quality_measures};
    launch_blocks(program, count, place);
}

void measure_scenes(const PictureView* pictures, std::int64_t count, float* out, Place place) {
    launch(MeasureScene{pictures, out}, count * scene_rows * scene_columns, place);
}

}  // namespace pylfr
