// What can be measured of a face from its picture and its five landmarks alone.
#pragma once

#include <cmath>

#include "kernels/align.hpp"

namespace pylfr {

constexpr int quality_measures = 7;
constexpr int quality_grid = 64;

constexpr float quality_side = 112.0f;

// A plain model of a head, in halves of the distance between the eyes: eyes at (-1, 0, 0) and (1, 0, 0), mouth at
// (0, 2.31, 0), tip of the nose at (0, 1.14, 0.8), seen without perspective. The heights are those of ArcFace's
// template; the nose's depth is taken from common generic head models (about 26 mm in front of eyes 64 mm apart).
constexpr float head_mouth = 2.31f;
constexpr float head_nose = 1.14f;
constexpr float head_nose_depth = 0.8f;
constexpr float degrees = 57.29577951f;

struct Pose {
    float interocular;       // pixels
    float yaw, pitch, roll;  // degrees; positive: nose to the right in the picture, nose up, head leaning clockwise
};

PYLFR_HD Pose estimate_pose(const float* points) {
    const float eye_x = points[2] - points[0], eye_y = points[3] - points[1];
    const float distance = ::sqrtf(eye_x * eye_x + eye_y * eye_y);
    if (!(distance > 0.0f)) return Pose{0.0f, 0.0f, 0.0f, 0.0f};
    const float c = eye_x / distance, s = eye_y / distance;
    const float mid_x = (points[0] + points[2]) * 0.5f, mid_y = (points[1] + points[3]) * 0.5f;
    const float nose_x = points[4] - mid_x, nose_y = points[5] - mid_y;
    const float mouth_x = (points[6] + points[8]) * 0.5f - mid_x, mouth_y = (points[7] + points[9]) * 0.5f - mid_y;
    // Along the line of the eyes and down from it: the head set upright.
    const float aside = c * nose_x + s * nose_y;
    const float nose_down = c * nose_y - s * nose_x;
    const float mouth_down = c * mouth_y - s * mouth_x;
    const float half = distance * 0.5f;
    // With yaw the nose moves depth * sin aside while the eyes come cos closer; pitch works alike.
    const float yaw = ::atan2f(aside, head_nose_depth * half) * degrees;
    const float rise = mouth_down * (head_nose / head_mouth) - nose_down;
    const float pitch = ::atan2f(rise * (head_mouth / head_nose_depth), mouth_down) * degrees;
    return Pose{distance, yaw, clamped(pitch, -90.0f, 90.0f), ::atan2f(eye_y, eye_x) * degrees};
}

// Group = face. The threads of a block sample the grid together; the sums are made in one order, by one thread each, so
// that every schedule gives the same bits.
struct MeasureQuality {
    struct Memory {
        float grey[quality_grid * quality_grid];
        double edges, edge_squares;
    };

    const PictureView* pictures;
    const std::int32_t* picture_index;  // [N]; null: `rows_a_picture` faces of each picture follow each other
    std::int64_t rows_a_picture;
    const std::int32_t* counts;  // [pictures, 2], the first says how many of a picture's rows hold a face; or null
    const float* landmarks;      // [N, 5, 2], faces `stride` numbers apart
    float* out;  // [N, 7], `out_stride` apart: sharpness, interocular_px, yaw, pitch, roll, brightness, contrast
    std::int64_t stride, out_stride;

    template <class Block>
    PYLFR_HD void operator()(const Block& block, std::int64_t i, Memory& memory) const {
        const std::int64_t index = picture_index != nullptr ? picture_index[i] : i / rows_a_picture;
        if (counts != nullptr && i - index * rows_a_picture >= counts[2 * index]) return;  // the whole block at once
        const float* points = landmarks + i * stride;
        const PictureView& picture = pictures[index];
        // Where the landmarks of an upright frontal face stand in a square of side 112: the template of ArcFace (Deng
        // et al., 2019), in whose frame faces of all sizes and turns are measured alike.
        constexpr float upright[2 * landmark_count] = {38.2946f, 51.6963f, 73.5318f, 51.5014f, 56.0252f,
                                                       71.7366f, 41.5493f, 92.3655f, 70.7299f, 92.2041f};
        const Affine map = fit_similarity(points, upright);
        for (int at = block.thread; at < quality_grid * quality_grid; at += block.threads) {
            constexpr float step = quality_side / quality_grid;
            const float tx = (static_cast<float>(at % quality_grid) + 0.5f) * step - 0.5f;
            const float ty = (static_cast<float>(at / quality_grid) + 0.5f) * step - 0.5f;
            memory.grey[at] =
                sample_grey(picture, map.xx * tx + map.xy * ty + map.x0, map.yx * tx + map.yy * ty + map.y0);
        }
        block.barrier();
        if (block.thread == block.threads / 2) sum_edges(memory);
        double sum = 0, squares = 0;
        if (block.thread == 0) {
            for (const float grey : memory.grey) {
                sum += grey;
                squares += static_cast<double>(grey) * grey;
            }
        }
        block.barrier();
        if (block.thread != 0) return;
        constexpr double all = quality_grid * quality_grid;
        constexpr double inner = (quality_grid - 2) * (quality_grid - 2);
        const double mean = sum / all, edge_mean = memory.edges / inner;
        const Pose pose = estimate_pose(points);
        float* measures = out + i * out_stride;
        measures[0] = static_cast<float>(larger(memory.edge_squares / inner - edge_mean * edge_mean, 0.0));
        measures[1] = pose.interocular;
        measures[2] = pose.yaw;
        measures[3] = pose.pitch;
        measures[4] = pose.roll;
        measures[5] = static_cast<float>(mean / 255.0);
        measures[6] = static_cast<float>(::sqrt(larger(squares / all - mean * mean, 0.0)) / 255.0);
    }

    PYLFR_HD static void sum_edges(Memory& memory) {
        double edges = 0, edge_squares = 0;
        for (int y = 2; y < quality_grid; ++y) {
            const float* row = memory.grey + y * quality_grid;
            const float *middle = row - quality_grid, *above = row - 2 * quality_grid;
            for (int x = 1; x < quality_grid - 1; ++x) {
                const float edge = above[x] + row[x] + middle[x - 1] + middle[x + 1] - 4.0f * middle[x];
                edges += edge;
                edge_squares += static_cast<double>(edge) * edge;
            }
        }
        memory.edges = edges;
        memory.edge_squares = edge_squares;
    }
};

}  // namespace pylfr
