// From detection heads to faces: score every cell, pick the good ones, decode those, suppress duplicates.
#include "kernels/detections.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops/ops.hpp"

namespace pylfr {

namespace {

// Makes room for the picked cells of one level of one image, has them decoded there, and drops what is not finite.
template <class Decode>
void take(Detections& found, std::int32_t image, const std::vector<float>& scores, float floor, Decode decode) {
    std::vector<std::int64_t> cells;
    for (std::size_t i = 0; i < scores.size(); ++i) {
        if (scores[i] >= floor) cells.push_back(static_cast<std::int64_t>(i));
    }
    std::vector<Box> boxes(cells.size());
    std::vector<float> landmarks(cells.size() * 10);
    decode(cells, boxes.data(), landmarks.data());
    for (std::size_t i = 0; i < cells.size(); ++i) {
        const Box& box = boxes[i];
        const float* points = landmarks.data() + 10 * i;
        const bool finite = std::isfinite(box.left) && std::isfinite(box.top) && std::isfinite(box.right) &&
                            std::isfinite(box.bottom) &&
                            std::all_of(points, points + 10, [](float value) { return std::isfinite(value); });
        if (!finite) continue;
        found.batch_index.push_back(image);
        found.boxes.push_back(box);
        found.scores.push_back(scores[cells[i]]);
        found.landmarks.insert(found.landmarks.end(), points, points + 10);
    }
}

}  // namespace

Detections decode_yunet(std::span<const YunetLevel> levels, std::int64_t batch, std::int32_t width, std::int32_t height,
                        float score_floor) {
    Detections found;
    std::vector<float> scores;
    for (std::int64_t b = 0; b < batch; ++b) {
        for (const YunetLevel& level : levels) {
            const std::int32_t columns = width / level.stride;
            const std::int64_t cells = static_cast<std::int64_t>(columns) * (height / level.stride);
            scores.resize(cells);
            launch(ScoreYunet{level.cls + b * cells, level.obj + b * cells, scores.data()}, cells, Place{});
            take(found, static_cast<std::int32_t>(b), scores, score_floor,
                 [&](const std::vector<std::int64_t>& picked, Box* boxes, float* landmarks) {
                     const DecodeYunet kernel{level.bbox + 4 * b * cells,
                                              level.kps + 10 * b * cells,
                                              picked.data(),
                                              boxes,
                                              landmarks,
                                              columns,
                                              level.stride};
                     launch(kernel, static_cast<std::int64_t>(picked.size()), Place{});
                 });
        }
    }
    return found;
}

Detections decode_scrfd(std::span<const ScrfdLevel> levels, std::int64_t batch, std::int32_t anchors,
                        std::int32_t width, std::int32_t height, float score_floor) {
    Detections found;
    std::vector<float> scores;
    for (std::int64_t b = 0; b < batch; ++b) {
        for (const ScrfdLevel& level : levels) {
            const std::int32_t columns = width / level.stride;
            const std::int64_t cells = static_cast<std::int64_t>(columns) * (height / level.stride) * anchors;
            scores.resize(cells);
            launch(ScoreScrfd{level.scores + b * cells, scores.data()}, cells, Place{});
            take(found, static_cast<std::int32_t>(b), scores, score_floor,
                 [&](const std::vector<std::int64_t>& picked, Box* boxes, float* landmarks) {
                     const DecodeScrfd kernel{level.distances + 4 * b * cells,
                                              level.kps + 10 * b * cells,
                                              picked.data(),
                                              boxes,
                                              landmarks,
                                              columns,
                                              level.stride,
                                              anchors};
                     launch(kernel, static_cast<std::int64_t>(picked.size()), Place{});
                 });
        }
    }
    return found;
}

std::vector<std::int64_t> nms(std::span<const std::int32_t> batch_index, const Box* boxes, const float* scores,
                              float iou) {
    std::vector<std::int64_t> order(batch_index.size());
    std::iota(order.begin(), order.end(), std::int64_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
        if (batch_index[a] != batch_index[b]) return batch_index[a] < batch_index[b];
        return scores[a] > scores[b];
    });
    std::vector<std::int64_t> kept;
    std::size_t image_start = 0;  // where the current image's survivors begin
    for (const std::int64_t row : order) {
        if (!kept.empty() && batch_index[kept.back()] != batch_index[row]) image_start = kept.size();
        const bool is_double =
            std::any_of(kept.begin() + static_cast<std::ptrdiff_t>(image_start), kept.end(),
                        [&](std::int64_t better) { return overlap(boxes[better], boxes[row]) > iou; });
        if (!is_double) kept.push_back(row);
    }
    return kept;
}

}  // namespace pylfr
