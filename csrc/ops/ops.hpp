// What the core can do. Shapes are checked at the boundary (bindings/); these split the work and launch it at a place.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "core/device.hpp"
#include "kernels/align.hpp"
#include "kernels/detections.hpp"
#include "kernels/picture.hpp"

namespace pylfr {

// How RGB 0 .. 255 becomes a network's input: (value - mean) * scale, in the order of the planes.
struct Encoding {
    bool bgr;
    std::array<float, 3> mean, scale;
};

// Returns network pixels a source pixel. `per_pixel` runs the device's schedule on the CPU.
float letterbox(const PictureView& picture, float* out, std::int32_t width, std::int32_t height,
                const Encoding& encoding, bool per_pixel, Place place);

void similarity(const float* landmarks, std::int64_t count, const float* goal, Affine* to_frame, Place place);

void warp(const PictureView* pictures, const std::int32_t* picture_index, const Affine* to_frame, std::int64_t count,
          float* out, std::int32_t side, const Encoding& encoding, bool per_pixel, Place place);

void crop_rgb(const PictureView& picture, const Affine& to_frame, std::uint8_t* out, std::int32_t width,
              std::int32_t height, Place place);

// The mean luma (of RGB: green) of cells of `cell` x `cell` pixels, of every second row; cells at the right and lower
// edge may be smaller. `cell` is at most 64; `out` is [ceil(height / cell), ceil(width / cell)].
void coarse_luma(const PictureView& picture, std::int32_t cell, std::uint8_t* out);

void measure_quality(const PictureView* pictures, const std::int32_t* picture_index, const float* landmarks,
                     std::int64_t count, float* out, Place place);

// Into float32 [count, 18, 32]: see MeasureScene.
void measure_scenes(const PictureView* pictures, std::int64_t count, float* out, Place place);

// A convolution's output, [rows, channels] with channels a multiple of what 16 bytes hold, and what is applied to it:
// null leaves a step out.
struct Finish {
    void* values;
    const void *bias, *shortcut, *slope;
    std::int64_t rows, channels;
};

// In place; of halves or of floats. See FinishConvolution.
void finish_convolution(const Finish& given, bool is_half, Place place);

// One level of a detection head for a batch: [batch, cells * anchors, ...].
struct YunetLevel {
    const float *cls, *obj, *bbox, *kps;
    std::int32_t stride;
};

struct ScrfdLevel {
    const float *scores, *distances, *kps;
    std::int32_t stride;
};

// Faces in network pixels, by image, level and cell.
struct Detections {
    std::vector<std::int32_t> batch_index;
    std::vector<Box> boxes;
    std::vector<float> scores, landmarks;
};

Detections decode_yunet(std::span<const YunetLevel> levels, std::int64_t batch, std::int32_t width, std::int32_t height,
                        float score_floor);

Detections decode_scrfd(std::span<const ScrfdLevel> levels, std::int64_t batch, std::int32_t anchors,
                        std::int32_t width, std::int32_t height, float score_floor);

// Rows that survive, by image, then best score first; of equal scores the earlier row wins.
std::vector<std::int64_t> nms(std::span<const std::int32_t> batch_index, const Box* boxes, const float* scores,
                              float iou);

void normalise(float* rows, float* lengths, std::int64_t count, std::int64_t dimension, Place place);

// out [count, outputs] = features [count, inputs] . weight [outputs, inputs] + bias, on this thread alone.
void apply_linear(const float* features, std::int64_t count, const float* weight, const float* bias,
                  std::int64_t inputs, std::int64_t outputs, float* out);

// scores and rows are [probe_count, k]; of equal scores the earlier reference wins.
void search_exact(const float* probes, std::int64_t probe_count, const float* references, std::int64_t reference_count,
                  std::int64_t dimension, std::int64_t k, float* scores, std::int64_t* rows);

// The entry of each reference, in rising order, which is checked once: not at every search.
class EntryNumbers {
 public:
    // Copies the numbers. Throws std::invalid_argument where one is less than the one before.
    EntryNumbers(const std::int64_t* numbers, std::int64_t count);

    const std::int64_t* begin() const { return numbers_.data(); }
    std::int64_t count() const { return static_cast<std::int64_t>(numbers_.size()); }

 private:
    std::vector<std::int64_t> numbers_;
};

// The same by entry: of `entry.count()` references, and each entry counts once, by its best reference.
void search_entries(const float* probes, std::int64_t probe_count, const float* references, const EntryNumbers& entry,
                    std::int64_t dimension, std::int64_t k, float* scores, std::int64_t* entries);

}  // namespace pylfr
