// The tracker.
#include <cmath>
#include <memory>

#include "bindings/checks.hpp"
#include "ops/tracker.hpp"

namespace pylfr {

namespace {

std::unique_ptr<Tracker> make_tracker(float high_score, float low_score, float iou, float max_age_ms,
                                      std::int64_t max_tracks_per_camera) {
    if (!(low_score <= high_score)) {
        throw py::value_error("low_score must not exceed high_score, got " + std::to_string(low_score) + " and " +
                              std::to_string(high_score));
    }
    if (!(iou > 0.0f && iou <= 1.0f)) throw py::value_error("iou must be in (0, 1], got " + std::to_string(iou));
    if (!(max_age_ms >= 0.0f)) throw py::value_error("max_age_ms must be 0 or more, got " + std::to_string(max_age_ms));
    if (max_tracks_per_camera < 1) {
        throw py::value_error("max_tracks_per_camera must be 1 or more, got " + std::to_string(max_tracks_per_camera));
    }
    return std::make_unique<Tracker>(TrackerSettings{high_score, low_score, iou, max_age_ms, max_tracks_per_camera});
}

// Beyond these milliseconds a double no longer tells two of them apart, and differences overflow.
constexpr std::int64_t latest_ms = std::int64_t{1} << 53;

void require_times(const std::int64_t* times, py::ssize_t length) {
    for (py::ssize_t i = 0; i < length; ++i) {
        if (times[i] >= -latest_ms && times[i] <= latest_ms) continue;
        throw py::value_error("time_ms must be -2^53 to 2^53, got " + std::to_string(times[i]));
    }
}

py::tuple update(Tracker& tracker, const py::array& camera, const py::array& time_ms, const py::array& is_cut,
                 const py::array& frame_index, const py::array& boxes, const py::array& scores,
                 const py::array& looks) {
    const std::int32_t* cameras = values<std::int32_t>(camera, {any_length}, "camera");
    const py::ssize_t frames = camera.shape(0);
    const std::int64_t* times = values<std::int64_t>(time_ms, {frames}, "time_ms");
    const std::uint8_t* cuts = values<std::uint8_t>(is_cut, {frames}, "is_cut");
    const std::int32_t* index = values<std::int32_t>(frame_index, {any_length}, "frame_index");
    const py::ssize_t faces = frame_index.shape(0);
    const float* corners = values<float>(boxes, {faces, 4}, "boxes");
    const float* score = values<float>(scores, {faces}, "scores");
    const float* look = values<float>(looks, {faces, 3}, "looks");
    require_times(times, frames);
    require_indices(index, faces, frames, "frame_index", "frames");
    require_finite(corners, faces * 4, "boxes");
    require_finite(look, faces * 3, "looks");
    Followed followed;
    {
        const py::gil_scoped_release release;
        const auto frame_count = static_cast<std::size_t>(frames);
        followed = tracker.update({{cameras, frame_count},
                                   {times, frame_count},
                                   cuts,
                                   {index, static_cast<std::size_t>(faces)},
                                   reinterpret_cast<const Box*>(corners),
                                   score,
                                   reinterpret_cast<const Look*>(look)});
    }
    return py::make_tuple(copied(followed.ids.data(), {faces}), copied(followed.uncertain.data(), {faces}));
}

py::tuple ended(Tracker& tracker) {
    const std::vector<EndedTrack> tracks = tracker.ended();
    const auto count = static_cast<py::ssize_t>(tracks.size());
    py::array_t<std::int32_t> camera(count);
    py::array_t<std::int64_t> id(count);
    for (py::ssize_t i = 0; i < count; ++i) {
        camera.mutable_at(i) = tracks[i].camera;
        id.mutable_at(i) = tracks[i].id;
    }
    return py::make_tuple(camera, id);
}

}  // namespace

void bind_tracker(py::module_& module) {
    py::class_<Tracker>(module, "Tracker")
        .def(py::init(&make_tracker), py::arg("high_score"), py::arg("low_score"), py::arg("iou"),
             py::arg("max_age_ms"), py::arg("max_tracks_per_camera"))
        .def("update", &update, py::arg("camera"), py::arg("time_ms"), py::arg("is_cut"), py::arg("frame_index"),
             py::arg("boxes"), py::arg("scores"), py::arg("looks"))
        .def("ended", &ended)
        .def("finish", &Tracker::finish, py::arg("camera"), py::call_guard<py::gil_scoped_release>())
        .def_property_readonly("alive", &Tracker::alive);
}

}  // namespace pylfr
