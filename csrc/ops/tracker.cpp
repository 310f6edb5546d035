#include "ops/tracker.hpp"

#include <algorithm>

#include "ops/assignment.hpp"

namespace pylfr {

namespace {

// The third stage's gate. 9.21 is the 99 % quantile of chi-squared with two degrees of freedom; beyond one size from
// where it is awaited, or if it grew or shrank by half, a face is rather somebody else's.
constexpr float most_surprise = 9.21f;
constexpr float farthest_sizes = 1.0f;
constexpr float most_growth = 1.5f;

float nearness(const Motion& motion, const Box& box) {
    const Shape seen = shape_of(box);
    const float size = size_of(motion);
    const float growth = larger(seen.size, size) / smaller(seen.size, size);
    if (growth > most_growth || surprise(motion, box) > most_surprise) return 0.0f;
    const float reach = farthest_sizes * smaller(seen.size, size);
    const float apart = squared(seen.x - motion.x.value) + squared(seen.y - motion.y.value);
    return 1.0f - apart / squared(reach);
}

}  // namespace

void Tracker::report(std::int32_t camera, std::int64_t id) {
    if (ended_.size() == most_ended) ended_.pop_front();
    ended_.push_back({camera, id});
}

// Moves every track to `time_ms`. Time that runs backwards passes as no time at all.
void Tracker::advance(std::int32_t number, Camera& camera, std::int64_t time_ms) {
    const std::int64_t elapsed = camera.has_started ? std::max<std::int64_t>(0, time_ms - camera.now_ms) : 0;
    camera.now_ms = time_ms;
    camera.has_started = true;
    std::erase_if(camera.tracks, [&](Track& track) {
        track.unseen_ms += elapsed;
        const bool is_over = static_cast<double>(track.unseen_ms) > settings_.max_age_ms;
        if (is_over) report(number, track.id);
        return is_over;
    });
    for (Track& track : camera.tracks) predict(track.motion, static_cast<float>(elapsed) / 1000.0f);
}

// Pairs `tracks` with `faces` and takes the pairs out of both.
template <class Affine>
void Tracker::match(Camera& camera, std::vector<int>& tracks, std::vector<int>& faces, const Sight& sight,
                    Affine affinity) {
    if (tracks.empty() || faces.empty()) return;
    Affinity table(static_cast<int>(tracks.size()), static_cast<int>(faces.size()));
    for (int t = 0; t < table.rows; ++t) {
        for (int f = 0; f < table.columns; ++f) {
            table.at(t, f) = affinity(camera.tracks[tracks[t]].motion, sight.boxes[faces[f]]);
        }
    }
    const std::vector<int> face_of = assign(table);
    std::vector<int> lonely_tracks;
    for (int t = 0; t < table.rows; ++t) {
        if (face_of[t] < 0) {
            lonely_tracks.push_back(tracks[t]);
            continue;
        }
        Track& track = camera.tracks[tracks[t]];
        int& face = faces[face_of[t]];
        correct(track.motion, sight.boxes[face]);
        track.unseen_ms = 0;
        (*sight.ids)[face] = track.id;
        face = -1;
    }
    tracks = std::move(lonely_tracks);
    std::erase(faces, -1);
}

// Whether a track can be added: where the camera is full, the one unseen for longest gives way, if any is unseen.
bool Tracker::make_room(std::int32_t number, Camera& camera) {
    if (static_cast<std::int64_t>(camera.tracks.size()) < settings_.max_tracks_per_camera) return true;
    const auto oldest = std::max_element(camera.tracks.begin(), camera.tracks.end(),
                                         [](const Track& a, const Track& b) { return a.unseen_ms < b.unseen_ms; });
    if (oldest == camera.tracks.end() || oldest->unseen_ms == 0) return false;
    report(number, oldest->id);
    camera.tracks.erase(oldest);
    return true;
}

void Tracker::see(std::int32_t number, Camera& camera, std::vector<int> faces, const Sight& sight) {
    std::vector<int> tracks(camera.tracks.size());
    for (std::size_t t = 0; t < tracks.size(); ++t) tracks[t] = static_cast<int>(t);
    std::vector<int> strong, weak;
    for (const int face : faces) {
        if (sight.scores[face] >= settings_.high_score) {
            strong.push_back(face);
        } else if (sight.scores[face] >= settings_.low_score) {
            weak.push_back(face);
        }
    }
    const auto by_overlap = [&](const Motion& motion, const Box& box) {
        const float iou = overlap(box_of(motion), box);
        return iou >= settings_.iou ? iou : 0.0f;
    };
    match(camera, tracks, strong, sight, by_overlap);
    match(camera, tracks, weak, sight, by_overlap);
    // Small fast faces at low frame rates do not overlap where they are awaited.
    match(camera, tracks, strong, sight, nearness);
    for (const int face : strong) {
        if (!make_room(number, camera)) break;
        camera.tracks.push_back(Track{camera.next_id++, first_motion(sight.boxes[face]), 0});
        (*sight.ids)[face] = camera.tracks.back().id;
    }
}

std::vector<std::int64_t> Tracker::update(std::span<const std::int32_t> camera, std::span<const std::int64_t> time_ms,
                                          std::span<const std::int32_t> frame_index, const Box* boxes,
                                          const float* scores) {
    const std::lock_guard lock(busy_);
    std::vector<std::int64_t> ids(frame_index.size(), -1);
    std::vector<std::vector<int>> faces_of(camera.size());
    for (std::size_t i = 0; i < frame_index.size(); ++i) faces_of[frame_index[i]].push_back(static_cast<int>(i));
    for (std::size_t b = 0; b < camera.size(); ++b) {
        Camera& watched = cameras_[camera[b]];
        advance(camera[b], watched, time_ms[b]);
        see(camera[b], watched, std::move(faces_of[b]), Sight{boxes, scores, &ids});
    }
    return ids;
}

std::vector<EndedTrack> Tracker::ended() {
    const std::lock_guard lock(busy_);
    std::vector<EndedTrack> all(ended_.begin(), ended_.end());
    ended_.clear();
    return all;
}

void Tracker::finish(std::int32_t camera) {
    const std::lock_guard lock(busy_);
    const auto found = cameras_.find(camera);
    if (found == cameras_.end()) return;
    for (const Track& track : found->second.tracks) report(camera, track.id);
    found->second.tracks.clear();
    found->second.has_started = false;
}

std::int64_t Tracker::alive() const {
    const std::lock_guard lock(busy_);
    std::int64_t count = 0;
    for (const auto& [number, camera] : cameras_) count += static_cast<std::int64_t>(camera.tracks.size());
    return count;
}

}  // namespace pylfr
