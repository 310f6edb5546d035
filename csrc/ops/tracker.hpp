// Which face continues which track: Kalman prediction and association in stages, camera by camera.
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
    float iou;         // least overlap of a face with its track's predicted box
    float max_age_ms;  // a track that is not seen for longer has ended
    std::int64_t max_tracks_per_camera;
};

struct EndedTrack {
    std::int32_t camera;
    std::int64_t id;
};

// How a face's picture looks, apart from whose face it is: light and focus.
struct Look {
    float brightness, contrast;  // 0 to 1
    float sharpness;             // ln(1 + sharpness)
};

// One call's frames and faces, as memory of the caller.
struct Sighting {
    std::span<const std::int32_t> camera;   // [B]
    std::span<const std::int64_t> time_ms;  // [B]
    const std::uint8_t* is_cut;             // [B], whether the picture changes to another with this frame
    std::span<const std::int32_t> frame;    // [N]
    const Box* boxes;
    const float* scores;
    const Look* looks;
};

// Ids of the faces, -1 for none, and which of them may be another person than their track's earlier faces.
struct Followed {
    std::vector<std::int64_t> ids;
    std::vector<std::uint8_t> uncertain;
};

// Safe to call from several threads; one call at a time does work.
class Tracker {
 public:
    explicit Tracker(const TrackerSettings& settings) : settings_(settings) {}

    Followed update(const Sighting& sighting);

    // Tracks that ended since the last call; only the newest `most_ended` are kept.
    std::vector<EndedTrack> ended();

    void finish(std::int32_t camera);

    std::int64_t alive() const;

    static constexpr std::size_t most_ended = 1 << 16;

 private:
    struct Track {
        std::int64_t id;
        Motion motion;
        Look look;
        std::int64_t unseen_ms;
        int face;                     // its row in this frame, -1 where it is not seen
        bool was_overlapped = false;  // another track was in the way when it was seen last, or since
    };

    struct Camera {
        std::int64_t next_id = 1;
        std::int64_t now_ms = 0;
        std::int64_t elapsed_ms = 0;
        bool has_started = false;
        std::vector<Track> tracks;
    };

    void advance(std::int32_t number, Camera& camera, std::int64_t time_ms);
    void end_all(std::int32_t number, Camera& camera);
    void see(std::int32_t number, Camera& camera, std::vector<int> faces, const Sighting& sighting, Followed& followed);
    template <class Affine>
    void match(Camera& camera, std::vector<int>& tracks, std::vector<int>& faces, const Sighting& sighting,
               Followed& followed, bool is_jump, Affine affinity);
    void note_overlaps(Camera& camera, Followed& followed);
    bool make_room(std::int32_t number, Camera& camera);
    void report(std::int32_t camera, std::int64_t id);

    TrackerSettings settings_;
    mutable std::mutex busy_;
    std::map<std::int32_t, Camera> cameras_;
    std::deque<EndedTrack> ended_;
};

}  // namespace pylfr
