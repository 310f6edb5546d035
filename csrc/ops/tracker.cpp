#include "ops/tracker.hpp"

#include <algorithm>

#include "ops/assignment.hpp"

namespace pylfr {

namespace {

// The third stage's gate. 9.21 is the 99 % quantile of chi-squared with two degrees of freedom; beyond so many sizes
// from the prediction, or if it grew or shrank by half, a face is more likely another person's.
constexpr float most_surprise = 9.21f;
constexpr float farthest_sizes = 1.5f;
constexpr float doubtful_growth = 1.5f;
// An overlapping face is another person's if it is so many times as large or small.
constexpr float most_growth = 2.5f;

// How much a face's look changes from one analysed frame to the next while it is the same person: standard deviations
// on a synthetic crowd at 8 Hz (docs/accuracy.md).
constexpr float brightness_change = 0.05f;
constexpr float contrast_change = 0.03f;
constexpr float sharpness_change = 0.5f;
// From here on, in such units squared, an overlapping face may be of another person who took the first one's place.
constexpr float other_look = 16.0f;
constexpr float look_weight = 0.2f;  // how much less a face fits whose look is off by one unit squared
constexpr float look_gain = 0.5f;    // how fast a track's look follows
// A track that was out of sight for longer may come back as another person.
constexpr std::int64_t longest_gap_ms = 400;
// Two tracks whose boxes share so much may be confused with each other.
constexpr float confusing_overlap = 0.15f;

float growth(const Motion& motion, const Box& box) {
    const float seen = shape_of(box).size, size = size_of(motion);
    return larger(seen, size) / smaller(seen, size);
}

float nearness(const Motion& motion, const Box& box) {
    const Shape seen = shape_of(box);
    const float reach = farthest_sizes * smaller(seen.size, size_of(motion));
    const float apart = squared(seen.x - motion.x.value) + squared(seen.y - motion.y.value);
    const bool is_other = surprise(motion, box) > most_surprise || growth(motion, box) > doubtful_growth;
    return is_other ? 0.0f : 1.0f - apart / squared(reach);
}

float difference(const Look& one, const Look& other) {
    return squared((one.brightness - other.brightness) / brightness_change) +
           squared((one.contrast - other.contrast) / contrast_change) +
           squared((one.sharpness - other.sharpness) / sharpness_change);
}

void follow(Look& look, const Look& seen) {
    look.brightness += look_gain * (seen.brightness - look.brightness);
    look.contrast += look_gain * (seen.contrast - look.contrast);
    look.sharpness += look_gain * (seen.sharpness - look.sharpness);
}

}  // namespace

void Tracker::report(std::int32_t camera, std::int64_t id) {
    if (ended_.size() == most_ended) ended_.pop_front();
    ended_.push_back({camera, id});
}

// Predicts every track at `time_ms`. Time that runs backwards counts as no time.
void Tracker::advance(std::int32_t number, Camera& camera, std::int64_t time_ms) {
    const std::int64_t elapsed = camera.has_started ? std::max<std::int64_t>(0, time_ms - camera.now_ms) : 0;
    camera.elapsed_ms = elapsed;
    camera.now_ms = time_ms;
    camera.has_started = true;
    std::erase_if(camera.tracks, [&](Track& track) {
        track.unseen_ms += elapsed;
        const bool is_over = static_cast<double>(track.unseen_ms) > settings_.max_age_ms;
        if (is_over) report(number, track.id);
        return is_over;
    });
    for (Track& track : camera.tracks) {
        predict(track.motion, static_cast<float>(elapsed) / 1000.0f);
        track.face = -1;
    }
}

void Tracker::end_all(std::int32_t number, Camera& camera) {
    for (const Track& track : camera.tracks) report(number, track.id);
    camera.tracks.clear();
}

// Pairs `tracks` with `faces` and takes the pairs out of both. A look that fits breaks ties between positions.
template <class Affine>
void Tracker::match(Camera& camera, std::vector<int>& tracks, std::vector<int>& faces, const Sighting& sighting,
                    Followed& followed, bool is_jump, Affine affinity) {
    if (tracks.empty() || faces.empty()) return;
    Affinity table(static_cast<int>(tracks.size()), static_cast<int>(faces.size()));
    for (int t = 0; t < table.rows; ++t) {
        for (int f = 0; f < table.columns; ++f) {
            const Track& track = camera.tracks[tracks[t]];
            const Box& box = sighting.boxes[faces[f]];
            const float place = growth(track.motion, box) > most_growth ? 0.0f : affinity(track.motion, box);
            const float apart = difference(track.look, sighting.looks[faces[f]]);
            table.at(t, f) = place / (1.0f + look_weight * apart);
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
        const Look& look = sighting.looks[face];
        followed.ids[face] = track.id;
        // A camera may be analysed less often than that: a gap is a frame in which the track was not seen.
        const bool is_gap = track.unseen_ms > std::max(longest_gap_ms, camera.elapsed_ms);
        followed.uncertain[face] = is_jump || is_gap || difference(track.look, look) > other_look ||
                                   growth(track.motion, sighting.boxes[face]) > doubtful_growth;
        correct(track.motion, sighting.boxes[face]);
        follow(track.look, look);
        track.unseen_ms = 0;
        track.face = face;
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

void Tracker::see(std::int32_t number, Camera& camera, std::vector<int> faces, const Sighting& sighting,
                  Followed& followed) {
    std::vector<int> tracks(camera.tracks.size());
    for (std::size_t t = 0; t < tracks.size(); ++t) tracks[t] = static_cast<int>(t);
    std::vector<int> strong, weak;
    for (const int face : faces) {
        if (sighting.scores[face] >= settings_.high_score) {
            strong.push_back(face);
        } else if (sighting.scores[face] >= settings_.low_score) {
            weak.push_back(face);
        }
    }
    const auto by_overlap = [&](const Motion& motion, const Box& box) {
        const float iou = overlap(box_of(motion), box);
        return iou >= settings_.iou ? iou : 0.0f;
    };
    match(camera, tracks, strong, sighting, followed, false, by_overlap);
    match(camera, tracks, weak, sighting, followed, false, by_overlap);
    // Small fast faces at low frame rates do not overlap their predicted boxes.
    match(camera, tracks, strong, sighting, followed, true, nearness);
    for (const int face : strong) {
        if (!make_room(number, camera)) break;
        camera.tracks.push_back(
            Track{camera.next_id++, first_motion(sighting.boxes[face]), sighting.looks[face], 0, face});
        followed.ids[face] = camera.tracks.back().id;
    }
    note_overlaps(camera, followed);
}

// Tracks whose boxes overlap may have swapped faces: one that comes out of it alone is uncertain.
void Tracker::note_overlaps(Camera& camera, Followed& followed) {
    std::vector<bool> is_overlapped(camera.tracks.size(), false);
    for (std::size_t i = 0; i < camera.tracks.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            if (overlap(box_of(camera.tracks[i].motion), box_of(camera.tracks[j].motion)) > confusing_overlap) {
                is_overlapped[i] = is_overlapped[j] = true;
            }
        }
    }
    for (std::size_t t = 0; t < camera.tracks.size(); ++t) {
        Track& track = camera.tracks[t];
        if (track.face >= 0 && track.was_overlapped && !is_overlapped[t]) followed.uncertain[track.face] = 1;
        track.was_overlapped = is_overlapped[t] || (track.was_overlapped && track.face < 0);
    }
}

Followed Tracker::update(const Sighting& sighting) {
    const std::lock_guard lock(busy_);
    const std::size_t count = sighting.frame.size();
    Followed followed{std::vector<std::int64_t>(count, -1), std::vector<std::uint8_t>(count, 0)};
    std::vector<std::vector<int>> faces_of(sighting.camera.size());
    for (std::size_t i = 0; i < count; ++i) faces_of[sighting.frame[i]].push_back(static_cast<int>(i));
    for (std::size_t b = 0; b < sighting.camera.size(); ++b) {
        const std::int32_t number = sighting.camera[b];
        Camera& watched = cameras_[number];
        if (sighting.is_cut[b] != 0) end_all(number, watched);
        advance(number, watched, sighting.time_ms[b]);
        see(number, watched, std::move(faces_of[b]), sighting, followed);
    }
    return followed;
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
    end_all(camera, found->second);
    found->second.has_started = false;
}

std::int64_t Tracker::alive() const {
    const std::lock_guard lock(busy_);
    std::int64_t count = 0;
    for (const auto& [number, camera] : cameras_) count += static_cast<std::int64_t>(camera.tracks.size());
    return count;
}

}  // namespace pylfr
