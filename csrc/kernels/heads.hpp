// From the outputs of a detection head to faces, for a whole batch and without the host: pick, sort, suppress.
#pragma once

#include "kernels/detections.hpp"
#include "kernels/letterbox.hpp"
#include "kernels/quality.hpp"
#include "kernels/sorting.hpp"

namespace pylfr {

enum class HeadKind { yunet, scrfd };

constexpr int most_levels = 5;

struct HeadLevel {
    const float *cls, *obj;  // [B, anchors]; SCRFD has no `obj`
    const float* boxes;      // [B, anchors, 4]
    const float* kps;        // [B, anchors, 10]
    std::int64_t anchors;    // of an image on this level
    std::int64_t before;     // of an image on the levels before
    std::int32_t columns, stride;
};

struct Head {
    HeadKind kind;
    HeadLevel levels[most_levels];
    std::int32_t level_count, anchors_a_cell;
    std::int64_t anchors;  // of an image on all levels

    PYLFR_HD const HeadLevel& level_of(std::int64_t anchor) const {
        int l = 0;
        while (l + 1 < level_count && anchor >= levels[l + 1].before) ++l;
        return levels[l];
    }

    PYLFR_HD float score(std::int64_t image, std::int64_t anchor) const {
        const HeadLevel& level = level_of(anchor);
        const std::int64_t at = image * level.anchors + anchor - level.before;
        return kind == HeadKind::yunet ? yunet_score(level.cls[at], level.obj[at]) : scrfd_score(level.cls[at]);
    }

    PYLFR_HD Box face(std::int64_t image, std::int64_t anchor, float* landmarks) const {
        const HeadLevel& level = level_of(anchor);
        const std::int64_t own = anchor - level.before, at = image * level.anchors + own;
        const float *boxes = level.boxes + 4 * at, *kps = level.kps + 10 * at;
        if (kind == HeadKind::yunet) return yunet_face(boxes, kps, own, level.columns, level.stride, landmarks);
        return scrfd_face(boxes, kps, quotient(own, anchors_a_cell), level.columns, level.stride, landmarks);
    }
};

// A face in pixels of its own picture; the numbers of one row of the tensor that goes to the host.
struct FoundFace {
    Box box;
    float score;
    float landmarks[2 * landmark_count];
    float measures[quality_measures];
};

constexpr int found_numbers = 4 + 1 + 2 * landmark_count + quality_measures;
static_assert(sizeof(FoundFace) == found_numbers * sizeof(float));

// Item = image * anchors + anchor: those from the floor on are listed, in any order; the key brings the order back.
struct PickAnchors {
    Head head;
    float floor;
    std::uint64_t* keys;   // [B, anchors]
    std::int32_t* counts;  // [B, 2]: the second is counted up, from 0

    PYLFR_HD void operator()(std::int64_t i) const {
        const std::int64_t image = quotient(i, head.anchors), anchor = i - image * head.anchors;
        const float score = head.score(image, anchor);
        if (!(score >= floor)) return;
        const std::int32_t place = take_place(counts + 2 * image + 1);
        keys[image * head.anchors + place] = key_of(score, static_cast<std::uint32_t>(anchor));
    }
};

PYLFR_HD bool is_number(float value) {
    return value - value == 0.0f;
}

// Group = image: candidates from the best down, those that overlap a better one left out, in the order and with the
// arithmetic of `nms` on the CPU. Of more than `most_candidates` only the best half of that many are considered.
struct SuppressDoubles {
    static constexpr int most_candidates = 4096;

    struct Memory {
        std::uint64_t keys[most_candidates];
        std::uint8_t is_out[most_candidates];
    };

    Head head;
    const std::uint64_t* keys;    // [B, anchors]
    std::int32_t* counts;         // [B, 2]: faces (written), candidates (read)
    Box* boxes;                   // [B, most_candidates], network pixels: scratch
    const PictureView* pictures;  // [B]
    FoundFace* found;             // [B, most]
    std::int32_t most, width, height;
    float iou;

    template <class Block>
    PYLFR_HD void operator()(const Block& block, std::int64_t image, Memory& memory) const {
        const int used = best_candidates(block, image, memory);
        Box* box = boxes + image * most_candidates;
        for (int i = block.thread; i < used; i += block.threads) {
            float landmarks[2 * landmark_count];
            box[i] = head.face(image, row_of(memory.keys[i]), landmarks);
            bool is_face =
                is_number(box[i].left) && is_number(box[i].top) && is_number(box[i].right) && is_number(box[i].bottom);
            for (const float value : landmarks) is_face = is_face && is_number(value);
            memory.is_out[i] = is_face ? 0 : 1;
        }
        block.barrier();
        const float factor = fit(pictures[image], width, height).factor();
        const auto picture_width = static_cast<float>(pictures[image].width);
        const auto picture_height = static_cast<float>(pictures[image].height);
        std::int32_t faces = 0;  // the same in every thread
        for (int i = 0; i < used; ++i) {
            // All threads see one value: flags of i change before the barrier that ended an earlier turn, never after.
            if (memory.is_out[i] != 0) continue;
            const Box kept = box[i];
            for (int j = i + 1 + block.thread; j < used; j += block.threads) {
                if (memory.is_out[j] == 0 && overlap(kept, box[j]) > iou) memory.is_out[j] = 1;
            }
            // A face that reaches over the edge is cut there; one that is all outside (in the padding) is no face.
            const Box own{
                clamped(kept.left / factor, 0.0f, picture_width), clamped(kept.top / factor, 0.0f, picture_height),
                clamped(kept.right / factor, 0.0f, picture_width), clamped(kept.bottom / factor, 0.0f, picture_height)};
            if (own.right > own.left && own.bottom > own.top) {
                if (faces < most && block.thread == faces % block.threads) write(image, i, faces, own, factor, memory);
                ++faces;
            }
            block.barrier();
        }
        if (block.thread == 0) counts[2 * image] = faces;
    }

 private:
    // The best keys of an image, best first, in `memory`; returns how many there are.
    template <class Block>
    PYLFR_HD int best_candidates(const Block& block, std::int64_t image, Memory& memory) const {
        const std::int32_t all = counts[2 * image + 1];
        const std::uint64_t* own = keys + image * head.anchors;
        const int first = smaller(all, most_candidates);
        const int room = power_of_two_from(first);
        for (int i = block.thread; i < room; i += block.threads) memory.keys[i] = i < first ? own[i] : 0;
        sort_keys(block, memory.keys, room);
        constexpr int half = most_candidates / 2;
        for (std::int32_t start = most_candidates; start < all; start += half) {
            for (int i = block.thread; i < half; i += block.threads) {
                memory.keys[half + i] = start + i < all ? own[start + i] : 0;
            }
            sort_keys(block, memory.keys, most_candidates);
        }
        return all > most_candidates ? half : first;
    }

    PYLFR_HD void write(std::int64_t image, int candidate, std::int32_t place, const Box& own, float factor,
                        const Memory& memory) const {
        FoundFace& face = found[image * most + place];
        face.box = own;
        face.score = score_of(memory.keys[candidate]);
        head.face(image, row_of(memory.keys[candidate]), face.landmarks);
        for (float& value : face.landmarks) value /= factor;
    }
};

}  // namespace pylfr
