// What is done with the pictures of a batch on their device, each in one launch for the whole batch, on the stream of
// the tensor that is written. Arguments from the host are copied on that stream too.
#pragma once

#include <cstdint>
#include <vector>

#include "core/staging.hpp"
#include "kernels/heads.hpp"
#include "ops/ops.hpp"

namespace pylfr {

// Into float32 [B, 3, height, width] or float16 [B, height, width, 3]; returns network pixels a source pixel, one a
// picture.
std::vector<float> letterbox(const Pictures& pictures, const Tensor& out, const Encoding& encoding);

// Into float32 [N, 3, side, side]; indices and maps come from the host in one copy.
void warp(const Pictures& pictures, Staging& staging, const std::int32_t* picture_index, const Affine* to_frame,
          std::int64_t count, const Tensor& out, const Encoding& encoding);

// Into float32 [N, 7].
void measure_quality(const Pictures& pictures, Staging& staging, const std::int32_t* picture_index,
                     const float* landmarks, std::int64_t count, const Tensor& out);

// Into float32 [B, 18, 32].
void measure_scenes(const Pictures& pictures, const Tensor& out);

// Faces of a batch, each in pixels of its picture: `found` float32 [B, most, 22] (see FoundFace), `counts` int32 [B,
// 2], faces and candidates of each picture. Where a picture has more than `most` faces, the best of them are written.
void find_faces(const Pictures& pictures, const Head& head, std::int32_t width, std::int32_t height, float score_floor,
                float iou, const Tensor& found, const Tensor& counts);

}  // namespace pylfr
