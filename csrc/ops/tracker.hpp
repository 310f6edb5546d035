// Which face is the one of the frame before: Kalman prediction and association in stages, camera by camera.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "kernels/detections.hpp"
#include "kernels/track.hpp"

namespace pylfr {

struct TrackerSettings {
    float high_score;  // faces from here on are matched first and may start tracks
    float low_score;   // faces from here on may continue a track
    float iou;         // least overlap of a face with where its track is awaited
    float max_age_ms;  // a track that is not seen for longer has ended
    std::int64_t max_tracks_per_camera;
};

struct EndedTrack {
    std::int32_t camera;
    std::int64_t id;
};

// Safe to call from several threads; one call at a time does work.
class Tracker {
 public:
    explicit Tracker(const TrackerSettings& settings) : settings_(settings) {}

    // Ids of the faces of a batch, -1 for none. `camera` and `time_ms` describe the frames, in order.
    std::vector<std::int64_t> update(std::span<const std::int32_t> camera, std::span<const std::int64_t> time_ms,
                                     std::span<const std::int32_t> frame_index, const Box* boxes, const float* scores);

    // Tracks that ended since the last call; only the newest `most_ended` are kept.
    std::vector<EndedTrack> ended();

    void finish(std::int32_t camera);

    std::int64_t alive() const;

    static constexpr std::size_t most_ended = 1 << 16;

 private:
    struct Track {
        std::int64_t id;
        Motion motion;
        std::int64_t unseen_ms;
    };

    struct Camera {
        std::int64_t next_id = 1;
        std::int64_t now_ms = 0;
        bool has_started = false;
        std::vector<Track> tracks;
    };

    // One frame's faces, as rows of the batch, and the ids that they get.
    struct Sight {
        const Box* boxes;
        const float* scores;
        std::vector<std::int64_t>* ids;
    };

    void advance(std::int32_t number, Camera& camera, std::int64_t time_ms);
    void see(std::int32_t number, Camera& camera, std::vector<int> faces, const Sight& sight);
    template <class Affine>
    void match(Camera& camera, std::vector<int>& tracks, std::vector<int>& faces, const Sight& sight, Affine affinity);
    bool make_room(std::int32_t number, Camera& camera);
    void report(std::int32_t camera, std::int64_t id);

    TrackerSettings settings_;
    mutable std::mutex busy_;
    std::map<std::int32_t, Camera> cameras_;
    std::deque<EndedTrack> ended_;
};

}  // namespace pylfr
