// Batches of pictures on a device, and what is done with them there.
#include "ops/batch.hpp"

#include <cstring>

#include "bindings/checks.hpp"
#include "kernels/scene.hpp"

namespace pylfr {

namespace {

using Levels = std::vector<Tensor>;

Pictures upload_all(Staging& staging, const std::vector<std::shared_ptr<Picture>>& pictures) {
    std::vector<PictureSource> sources;
    for (const auto& picture : pictures) {
        if (picture == nullptr) throw py::type_error("pictures must be Picture objects, got None");
        sources.push_back({picture->view(), picture->surfaces()});
    }
    const py::gil_scoped_release release;
    return upload(staging, sources);
}

Tensor send_array(Staging& staging, const py::array& array) {
    const Element element = element_named(py::str(array.dtype().attr("name")));
    require_packed(array, "array", name_of(element));
    const Lengths shape(array.shape(), array.shape() + array.ndim());
    const auto bytes = static_cast<std::size_t>(array.nbytes());
    const void* from = array.data();
    const py::gil_scoped_release release;
    const Tensor sent = staging.send(bytes, [&](std::uint8_t* host, std::uint8_t*) { std::memcpy(host, from, bytes); });
    return sent.seen_as(shape, element);
}

py::array_t<float> letterbox_batch(const Pictures& pictures, const Tensor& out, bool bgr,
                                   const std::vector<float>& mean, const std::vector<float>& scale) {
    const auto count = static_cast<py::ssize_t>(pictures.views.size());
    const bool is_half = out.element() == Element::float16;
    if (is_half) {
        require_room(out, Element::float16, {count, any_length, any_length, 3}, *pictures.memory.stream(), "out");
    } else {
        require_room(out, Element::float32, {count, 3, any_length, any_length}, *pictures.memory.stream(), "out");
    }
    const std::int64_t height = out.shape()[is_half ? 1 : 2], width = out.shape()[is_half ? 2 : 3];
    require_sides(height, width, "out");
    const Encoding how = encoding_of(bgr, mean, scale);
    std::vector<float> factors;
    {
        const py::gil_scoped_release release;
        factors = letterbox(pictures, out, how);
    }
    return copied(factors.data(), {count});
}

void warp_batch(const Pictures& pictures, Staging& staging, const py::array& picture_index, const py::array& to_frame,
                const Tensor& out, bool bgr, const std::vector<float>& mean, const std::vector<float>& scale) {
    const std::int32_t* index = values<std::int32_t>(picture_index, {any_length}, "picture_index");
    const py::ssize_t count = picture_index.shape(0);
    const auto* maps = reinterpret_cast<const Affine*>(values<float>(to_frame, {count, 2, 3}, "to_frame"));
    require_room(out, Element::float32, {count, 3, any_length, any_length}, *pictures.memory.stream(), "out");
    if (out.shape()[2] != out.shape()[3]) {
        throw py::value_error("out must hold square crops, got " + text_of(out.shape()));
    }
    require_sides(out.shape()[2], out.shape()[3], "out", true);
    require_indices(index, count, static_cast<py::ssize_t>(pictures.views.size()), "picture_index", "pictures");
    const Encoding how = encoding_of(bgr, mean, scale);
    const py::gil_scoped_release release;
    warp(pictures, staging, index, maps, count, out, how);
}

void quality_batch(const Pictures& pictures, Staging& staging, const py::array& picture_index,
                   const py::array& landmarks, const Tensor& out) {
    const std::int32_t* index = values<std::int32_t>(picture_index, {any_length}, "picture_index");
    const py::ssize_t count = picture_index.shape(0);
    const float* points = values<float>(landmarks, {count, 5, 2}, "landmarks");
    require_room(out, Element::float32, {count, quality_measures}, *pictures.memory.stream(), "out");
    require_indices(index, count, static_cast<py::ssize_t>(pictures.views.size()), "picture_index", "pictures");
    require_finite(points, count * 10, "landmarks");
    const py::gil_scoped_release release;
    measure_quality(pictures, staging, index, points, count, out);
}

void scenes_batch(const Pictures& pictures, const Tensor& out) {
    const auto count = static_cast<py::ssize_t>(pictures.views.size());
    require_room(out, Element::float32, {count, scene_rows, scene_columns}, *pictures.memory.stream(), "out");
    const py::gil_scoped_release release;
    measure_scenes(pictures, out);
}

const float* level(const Levels& tensors, std::size_t i, py::ssize_t batch, py::ssize_t anchors, py::ssize_t numbers,
                   const Stream& stream, const char* name) {
    const std::string indexed = std::string(name) + "[" + std::to_string(i) + "]";
    require_tensor(tensors[i], Element::float32, {batch, anchors, numbers}, stream, indexed.c_str());
    return static_cast<const float*>(tensors[i].memory());
}

Head head_of(const std::string& kind, const Levels& cls, const Levels& obj, const Levels& boxes, const Levels& kps,
             const std::vector<int>& strides, int anchors, int width, int height, const Pictures& pictures) {
    if (kind != "yunet" && kind != "scrfd") throw py::value_error("head must be yunet or scrfd, got '" + kind + "'");
    Head head{};
    head.kind = kind == "yunet" ? HeadKind::yunet : HeadKind::scrfd;
    if (strides.empty() || strides.size() > most_levels) {
        throw py::value_error("strides must name 1 to " + std::to_string(most_levels) + " levels, got " +
                              std::to_string(strides.size()));
    }
    const std::size_t count = strides.size(), wanted_obj = head.kind == HeadKind::yunet ? count : 0;
    if (cls.size() != count || boxes.size() != count || kps.size() != count || obj.size() != wanted_obj) {
        throw py::value_error("a head must have one tensor for each of " + std::to_string(count) + " strides, got " +
                              std::to_string(cls.size()) + ", " + std::to_string(obj.size()) + ", " +
                              std::to_string(boxes.size()) + " and " + std::to_string(kps.size()));
    }
    require_grid(strides, width, height, anchors);
    const auto batch = static_cast<py::ssize_t>(pictures.views.size());
    const Stream& stream = *pictures.memory.stream();
    head.level_count = static_cast<std::int32_t>(count);
    head.anchors_a_cell = anchors;
    for (std::size_t i = 0; i < count; ++i) {
        const int stride = strides[i];
        HeadLevel& at = head.levels[i];
        at.columns = width / stride;
        at.stride = stride;
        at.anchors = static_cast<std::int64_t>(at.columns) * (height / stride) * anchors;
        at.before = head.anchors;
        head.anchors += at.anchors;
        at.cls = level(cls, i, batch, at.anchors, 1, stream, "cls");
        at.obj = wanted_obj == 0 ? nullptr : level(obj, i, batch, at.anchors, 1, stream, "obj");
        at.boxes = level(boxes, i, batch, at.anchors, 4, stream, "boxes");
        at.kps = level(kps, i, batch, at.anchors, 10, stream, "kps");
    }
    return head;
}

void find_all(const Pictures& pictures, const std::string& kind, const Levels& cls, const Levels& obj,
              const Levels& boxes, const Levels& kps, const std::vector<int>& strides, int anchors, int width,
              int height, float score_floor, float iou, const Tensor& found, const Tensor& counts) {
    const Head head = head_of(kind, cls, obj, boxes, kps, strides, anchors, width, height, pictures);
    const auto batch = static_cast<py::ssize_t>(pictures.views.size());
    const Stream& stream = *pictures.memory.stream();
    require_room(found, Element::float32, {batch, any_length, found_numbers}, stream, "found");
    if (found.shape()[1] < 1) throw py::value_error("found must have room for 1 face or more a picture");
    require_room(counts, Element::int32, {batch, 2}, stream, "counts");
    const py::gil_scoped_release release;
    find_faces(pictures, head, width, height, score_floor, iou, found, counts);
}

void crop_surface(const Picture& picture, const py::array& to_frame, const Tensor& out) {
    if (picture.surfaces().empty()) throw py::type_error("picture must be of surfaces, got one of the host");
    const Affine map = *reinterpret_cast<const Affine*>(values<float>(to_frame, {2, 3}, "to_frame"));
    const Stream& stream = *picture.surfaces()[0].stream();
    require_room(out, Element::uint8, {any_length, any_length, 3}, stream, "out");
    require_sides(out.shape()[0], out.shape()[1], "out", true);
    const py::gil_scoped_release release;
    crop_rgb(picture.view(), map, static_cast<std::uint8_t*>(out.memory()), static_cast<std::int32_t>(out.shape()[1]),
             static_cast<std::int32_t>(out.shape()[0]), stream.place());
}

void normalise_on(const Tensor& vectors, const Stream& stream) {
    require_room(vectors, Element::float32, {any_length, any_length}, stream, "vectors");
    const py::gil_scoped_release release;
    const std::int64_t count = vectors.shape()[0];
    const Tensor lengths({count}, Element::float32, vectors.stream());
    normalise(static_cast<float*>(vectors.memory()), static_cast<float*>(lengths.memory()), count, vectors.shape()[1],
              stream.place());
}

}  // namespace

void bind_batch(py::module_& module) {
    py::class_<Staging, Held<Staging>>(module, "Staging")
        .def(py::init([](const std::shared_ptr<Stream>& stream, int threads) {
                 if (stream == nullptr) throw py::type_error("stream must be a Stream, got None");
                 if (threads < 0 || threads > 64) {
                     throw py::value_error("threads must be 0 to 64, got " + std::to_string(threads));
                 }
                 return Held<Staging>(new Staging(stream, static_cast<std::size_t>(threads)));
             }),
             py::arg("stream"), py::arg("threads") = 0)
        .def_property_readonly("stream", &Staging::stream)
        .def("send", &send_array, py::arg("array"))
        .def("upload", &upload_all, py::arg("pictures"));
    py::class_<Pictures>(module, "Pictures")
        .def("__len__", [](const Pictures& pictures) { return pictures.views.size(); })
        .def_property_readonly("stream", [](const Pictures& pictures) { return pictures.memory.stream(); })
        .def("letterbox", &letterbox_batch, py::arg("out"), py::arg("bgr"), py::arg("mean"), py::arg("scale"))
        .def("warp", &warp_batch, py::arg("staging"), py::arg("picture_index"), py::arg("to_frame"), py::arg("out"),
             py::arg("bgr"), py::arg("mean"), py::arg("scale"))
        .def("measure_quality", &quality_batch, py::arg("staging"), py::arg("picture_index"), py::arg("landmarks"),
             py::arg("out"))
        .def("measure_scenes", &scenes_batch, py::arg("out"))
        .def("find_faces", &find_all, py::arg("head"), py::arg("cls"), py::arg("obj"), py::arg("boxes"), py::arg("kps"),
             py::arg("strides"), py::arg("anchors"), py::arg("width"), py::arg("height"), py::arg("score_floor"),
             py::arg("iou"), py::arg("found"), py::arg("counts"));
    module.def("crop_surface", &crop_surface, py::arg("picture"), py::arg("to_frame"), py::arg("out"));
    module.def("normalise_on", &normalise_on, py::arg("vectors"), py::arg("stream"));
    module.attr("FOUND_NUMBERS") = found_numbers;
}

}  // namespace pylfr
