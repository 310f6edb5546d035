// Detection heads into faces, and the suppression of duplicates.
#include "bindings/checks.hpp"

namespace pylfr {

namespace {

using Arrays = std::vector<py::array>;

py::tuple as_arrays(const Detections& found) {
    const auto count = static_cast<py::ssize_t>(found.batch_index.size());
    return py::make_tuple(copied(found.batch_index.data(), {count}),
                          copied(reinterpret_cast<const float*>(found.boxes.data()), {count, 4}),
                          copied(found.scores.data(), {count}), copied(found.landmarks.data(), {count, 5, 2}));
}

// Throws ValueError unless each list has one array a stride and the strides fit the network's input.
void require_levels(std::initializer_list<std::pair<const char*, std::size_t>> lists, const std::vector<int>& strides,
                    int width, int height, int anchors) {
    for (const auto& [name, length] : lists) {
        if (length == strides.size()) continue;
        throw py::value_error(std::string(name) + " must have one array for each of " + std::to_string(strides.size()) +
                              " strides, got " + std::to_string(length));
    }
    if (strides.empty()) throw py::value_error("strides must name one level or more, got none");
    require_grid(strides, width, height, anchors);
}

py::ssize_t batch_of(const py::array& first, const char* name) {
    if (first.ndim() != 3) {
        throw py::value_error(std::string(name) + "[0] must be float32 [batch, cells, 1], got shape " +
                              shape_of_array(first));
    }
    return first.shape(0);
}

const float* level(const Arrays& arrays, std::size_t i, py::ssize_t batch, py::ssize_t cells, py::ssize_t numbers,
                   const char* name) {
    const std::string indexed = std::string(name) + "[" + std::to_string(i) + "]";
    return values<float>(arrays[i], {batch, cells, numbers}, indexed.c_str());
}

py::tuple yunet(const Arrays& cls, const Arrays& obj, const Arrays& bbox, const Arrays& kps,
                const std::vector<int>& strides, int width, int height, float score_floor) {
    require_levels({{"cls", cls.size()}, {"obj", obj.size()}, {"bbox", bbox.size()}, {"kps", kps.size()}}, strides,
                   width, height, 1);
    const py::ssize_t batch = batch_of(cls[0], "cls");
    std::vector<YunetLevel> levels;
    for (std::size_t i = 0; i < strides.size(); ++i) {
        const py::ssize_t cells = static_cast<py::ssize_t>(width / strides[i]) * (height / strides[i]);
        levels.push_back({level(cls, i, batch, cells, 1, "cls"), level(obj, i, batch, cells, 1, "obj"),
                          level(bbox, i, batch, cells, 4, "bbox"), level(kps, i, batch, cells, 10, "kps"), strides[i]});
    }
    Detections found;
    {
        const py::gil_scoped_release release;
        found = decode_yunet(levels, batch, width, height, score_floor);
    }
    return as_arrays(found);
}

py::tuple scrfd(const Arrays& scores, const Arrays& distances, const Arrays& kps, const std::vector<int>& strides,
                int anchors, int width, int height, float score_floor) {
    require_levels({{"scores", scores.size()}, {"distances", distances.size()}, {"kps", kps.size()}}, strides, width,
                   height, anchors);
    const py::ssize_t batch = batch_of(scores[0], "scores");
    std::vector<ScrfdLevel> levels;
    for (std::size_t i = 0; i < strides.size(); ++i) {
        const py::ssize_t cells = static_cast<py::ssize_t>(width / strides[i]) * (height / strides[i]) * anchors;
        levels.push_back({level(scores, i, batch, cells, 1, "scores"),
                          level(distances, i, batch, cells, 4, "distances"), level(kps, i, batch, cells, 10, "kps"),
                          strides[i]});
    }
    Detections found;
    {
        const py::gil_scoped_release release;
        found = decode_scrfd(levels, batch, anchors, width, height, score_floor);
    }
    return as_arrays(found);
}

py::array_t<std::int64_t> survivors(const py::array& batch_index, const py::array& boxes, const py::array& scores,
                                    float iou) {
    const std::int32_t* image = values<std::int32_t>(batch_index, {any_length}, "batch_index");
    const py::ssize_t count = batch_index.shape(0);
    const auto* at = reinterpret_cast<const Box*>(values<float>(boxes, {count, 4}, "boxes"));
    const float* score = values<float>(scores, {count}, "scores");
    require_finite(score, count, "scores");
    std::vector<std::int64_t> kept;
    {
        const py::gil_scoped_release release;
        kept = nms({image, static_cast<std::size_t>(count)}, at, score, iou);
    }
    return copied(kept.data(), {static_cast<py::ssize_t>(kept.size())});
}

}  // namespace

void bind_detections(py::module_& module) {
    module.def("decode_yunet", &yunet, py::arg("cls"), py::arg("obj"), py::arg("bbox"), py::arg("kps"),
               py::arg("strides"), py::arg("width"), py::arg("height"), py::arg("score_floor"));
    module.def("decode_scrfd", &scrfd, py::arg("scores"), py::arg("distances"), py::arg("kps"), py::arg("strides"),
               py::arg("anchors"), py::arg("width"), py::arg("height"), py::arg("score_floor"));
    module.def("nms", &survivors, py::arg("batch_index"), py::arg("boxes"), py::arg("scores"), py::arg("iou"));
}

}  // namespace pylfr
