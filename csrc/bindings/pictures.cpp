// Pictures, and what is sampled from them: letterbox, similarity, warp, crop, quality.
#include <memory>
#include <optional>

#include "bindings/checks.hpp"
#include "kernels/quality.hpp"
#include "kernels/scene.hpp"

namespace pylfr {

namespace {

Layout layout_named(const std::string& name) {
    if (name == "i420") return Layout::i420;
    if (name == "nv12") return Layout::nv12;
    if (name == "rgb") return Layout::rgb;
    throw py::value_error("layout must be i420, nv12 or rgb, got '" + name + "'");
}

Colour colour_named(const std::string& matrix, bool full_range) {
    if (matrix == "bt601") return colour_of(0.299, 0.114, full_range);
    if (matrix == "bt709") return colour_of(0.2126, 0.0722, full_range);
    if (matrix == "bt2020") return colour_of(0.2627, 0.0593, full_range);
    throw py::value_error("matrix must be bt601, bt709 or bt2020, got '" + matrix + "'");
}

}  // namespace

void Picture::describe(std::size_t planes, const std::string& layout, const std::string& matrix, bool full_range) {
    view_.layout = layout_named(layout);
    view_.colour = colour_named(matrix, full_range);
    const std::size_t count = view_.layout == Layout::i420 ? 3 : view_.layout == Layout::nv12 ? 2 : 1;
    if (planes == count) return;
    throw py::value_error(layout + " must have " + std::to_string(count) + " planes, got " + std::to_string(planes));
}

void Picture::measure(py::ssize_t width, py::ssize_t height) {
    constexpr py::ssize_t longest = 1 << 20;
    if (width < 1 || height < 1 || width > longest || height > longest) {
        throw py::value_error("a picture must be 1 to " + std::to_string(longest) + " pixels wide and high, got " +
                              std::to_string(width) + "x" + std::to_string(height));
    }
    view_.width = static_cast<std::int32_t>(width);
    view_.height = static_cast<std::int32_t>(height);
}

// Of the first plane any height and width will do.
std::vector<py::ssize_t> Picture::shape_of_plane(std::size_t index) const {
    if (view_.layout == Layout::rgb) return {any_length, any_length, 3};
    if (index == 0) return {any_length, any_length};
    if (view_.layout == Layout::nv12) return {view_.chroma_height(), view_.chroma_width(), 2};
    return {view_.chroma_height(), view_.chroma_width()};
}

// Rows may lie any number of bytes apart; within a row the bytes are packed.
Picture::Picture(const std::vector<py::array>& planes, const std::string& layout, const std::string& matrix,
                 bool full_range)
    : planes_(planes) {
    describe(planes.size(), layout, matrix, full_range);
    for (std::size_t index = 0; index < planes.size(); ++index) {
        const py::array& plane = planes_[index];
        const std::string name = "planes[" + std::to_string(index) + "]";
        const std::vector<py::ssize_t> shape = shape_of_plane(index);
        const std::string wanted = shape_text("uint8", shape.data(), shape.size());
        require_dtype(plane, py::dtype::of<std::uint8_t>(), name.c_str(), wanted);
        require_shape(plane, shape.data(), shape.size(), name.c_str(), wanted);
        if (index == 0) measure(plane.shape(1), plane.shape(0));
        py::ssize_t packed = 1;
        for (py::ssize_t axis = plane.ndim() - 1; axis > 0; --axis) {
            if (plane.size() > 0 && plane.shape(axis) > 1 && plane.strides(axis) != packed) {
                throw py::value_error(name + " must have packed pixels (only rows may be padded), got strides " +
                                      std::string(py::str(plane.attr("strides"))) +
                                      ": pass numpy.ascontiguousarray of it");
            }
            packed *= plane.shape(axis);
        }
        view_.planes[index] = static_cast<const std::uint8_t*>(plane.data());
        view_.row_bytes[index] = plane.strides(0);
    }
}

std::shared_ptr<Picture> Picture::of_surfaces(const std::vector<Tensor>& surfaces, const std::string& layout,
                                              const std::string& matrix, bool full_range) {
    const std::shared_ptr<Picture> picture(new Picture());
    picture->describe(surfaces.size(), layout, matrix, full_range);
    for (std::size_t index = 0; index < surfaces.size(); ++index) {
        const Tensor& surface = surfaces[index];
        const std::vector<py::ssize_t> shape = picture->shape_of_plane(index);
        bool fits = surface.element() == Element::uint8 && surface.shape().size() == shape.size();
        for (std::size_t axis = 0; fits && axis < shape.size(); ++axis) {
            fits = shape[axis] == any_length || shape[axis] == surface.shape()[axis];
        }
        if (!fits) {
            throw py::value_error("surfaces[" + std::to_string(index) + "] must be " +
                                  shape_text("uint8", shape.data(), shape.size()) + ", got " +
                                  name_of(surface.element()) + " " + text_of(surface.shape()));
        }
        if (index == 0) picture->measure(surface.shape()[1], surface.shape()[0]);
        picture->view_.planes[index] = static_cast<const std::uint8_t*>(surface.memory());
        picture->view_.row_bytes[index] = surface.row_bytes();
    }
    picture->surfaces_ = surfaces;
    return picture;
}

Encoding encoding_of(bool bgr, const std::vector<float>& mean, const std::vector<float>& scale) {
    if (mean.size() != 3 || scale.size() != 3) {
        throw py::value_error("mean and scale must have 3 numbers, one a channel, got " + std::to_string(mean.size()) +
                              " and " + std::to_string(scale.size()));
    }
    return Encoding{bgr, {mean[0], mean[1], mean[2]}, {scale[0], scale[1], scale[2]}};
}

namespace {

using GivenPictures = std::vector<std::shared_ptr<Picture>>;

std::vector<PictureView> views(const GivenPictures& pictures) {
    std::vector<PictureView> all;
    all.reserve(pictures.size());
    for (const auto& picture : pictures) {
        if (picture == nullptr) throw py::type_error("pictures must be Picture objects, got None");
        if (!picture->surfaces().empty()) throw py::type_error("pictures must be of the host, got surfaces");
        all.push_back(picture->view());
    }
    return all;
}

py::array_t<float> letterbox_all(const GivenPictures& pictures, py::array out, bool bgr, const std::vector<float>& mean,
                                 const std::vector<float>& scale, bool per_pixel) {
    const auto count = static_cast<py::ssize_t>(pictures.size());
    float* tensor = room<float>(out, {count, 3, any_length, any_length}, "out");
    const py::ssize_t height = out.shape(2), width = out.shape(3);
    if (count > 0) require_sides(height, width, "out");
    const Encoding how = encoding_of(bgr, mean, scale);
    const std::vector<PictureView> seen = views(pictures);
    py::array_t<float> factors(count);
    float* factor = factors.mutable_data();
    const py::gil_scoped_release release;
    for (py::ssize_t b = 0; b < count; ++b) {
        factor[b] = letterbox(seen[b], tensor + b * 3 * height * width, static_cast<std::int32_t>(width),
                              static_cast<std::int32_t>(height), how, per_pixel, Place{});
    }
    return factors;
}

py::array_t<float> similarity_of(const py::array& landmarks, const py::array& goal) {
    const float* points = values<float>(landmarks, {any_length, 5, 2}, "landmarks");
    const float* at = values<float>(goal, {5, 2}, "template");
    const py::ssize_t count = landmarks.shape(0);
    require_finite(points, count * 10, "landmarks");
    require_finite(at, 10, "template");
    py::array_t<float> to_frame({count, py::ssize_t{2}, py::ssize_t{3}});
    auto* maps = reinterpret_cast<Affine*>(to_frame.mutable_data());
    const py::gil_scoped_release release;
    similarity(points, count, at, maps, Place{});
    return to_frame;
}

void warp_all(const GivenPictures& pictures, const py::array& picture_index, const py::array& to_frame, py::array out,
              bool bgr, const std::vector<float>& mean, const std::vector<float>& scale, bool per_pixel) {
    const std::int32_t* index = values<std::int32_t>(picture_index, {any_length}, "picture_index");
    const py::ssize_t count = picture_index.shape(0);
    const auto* maps = reinterpret_cast<const Affine*>(values<float>(to_frame, {count, 2, 3}, "to_frame"));
    float* crops = room<float>(out, {count, 3, any_length, any_length}, "out");
    const py::ssize_t side = out.shape(2);
    if (out.shape(3) != side) throw py::value_error("out must hold square crops, got " + shape_of_array(out));
    require_sides(side, side, "out", true);
    require_indices(index, count, static_cast<py::ssize_t>(pictures.size()), "picture_index", "pictures");
    const Encoding how = encoding_of(bgr, mean, scale);
    const std::vector<PictureView> seen = views(pictures);
    const py::gil_scoped_release release;
    warp(seen.data(), index, maps, count, crops, static_cast<std::int32_t>(side), how, per_pixel, Place{});
}

void crop_one(const Picture& picture, const py::array& to_frame, py::array out) {
    if (!picture.surfaces().empty()) throw py::type_error("picture must be of the host, got surfaces");
    const Affine map = *reinterpret_cast<const Affine*>(values<float>(to_frame, {2, 3}, "to_frame"));
    std::uint8_t* pixels = room<std::uint8_t>(out, {any_length, any_length, 3}, "out");
    require_sides(out.shape(0), out.shape(1), "out", true);
    const auto height = static_cast<std::int32_t>(out.shape(0)), width = static_cast<std::int32_t>(out.shape(1));
    const py::gil_scoped_release release;
    crop_rgb(picture.view(), map, pixels, width, height, Place{});
}

py::array_t<std::uint8_t> coarse_luma_of(const Picture& picture, std::int32_t cell) {
    constexpr std::int32_t largest = 64;
    if (!picture.surfaces().empty()) throw py::type_error("picture must be of the host, got surfaces");
    if (cell < 1 || cell > largest) {
        throw py::value_error("cell_px must be 1 to " + std::to_string(largest) + ", got " + std::to_string(cell));
    }
    const PictureView& view = picture.view();
    py::array_t<std::uint8_t> means({(view.height + cell - 1) / cell, (view.width + cell - 1) / cell});
    std::uint8_t* out = means.mutable_data();
    const py::gil_scoped_release release;
    coarse_luma(view, cell, out);
    return means;
}

py::array_t<float> quality_of(const GivenPictures& pictures, const py::array& picture_index,
                              const py::array& landmarks) {
    const std::int32_t* index = values<std::int32_t>(picture_index, {any_length}, "picture_index");
    const py::ssize_t count = picture_index.shape(0);
    const float* points = values<float>(landmarks, {count, 5, 2}, "landmarks");
    require_indices(index, count, static_cast<py::ssize_t>(pictures.size()), "picture_index", "pictures");
    require_finite(points, count * 10, "landmarks");
    const std::vector<PictureView> seen = views(pictures);
    py::array_t<float> measures({count, py::ssize_t{quality_measures}});
    float* out = measures.mutable_data();
    const py::gil_scoped_release release;
    measure_quality(seen.data(), index, points, count, out, Place{});
    return measures;
}

py::array_t<float> scenes_of(const GivenPictures& pictures) {
    const std::vector<PictureView> seen = views(pictures);
    const auto count = static_cast<py::ssize_t>(seen.size());
    py::array_t<float> scenes({count, py::ssize_t{scene_rows}, py::ssize_t{scene_columns}});
    float* out = scenes.mutable_data();
    const py::gil_scoped_release release;
    measure_scenes(seen.data(), count, out, Place{});
    return scenes;
}

}  // namespace

void bind_pictures(py::module_& module) {
    py::class_<Picture, std::shared_ptr<Picture>>(module, "Picture")
        .def(py::init<const std::vector<py::array>&, const std::string&, const std::string&, bool>(), py::arg("planes"),
             py::arg("layout"), py::arg("matrix"), py::arg("full_range"))
        .def_static("of_surfaces", &Picture::of_surfaces, py::arg("surfaces"), py::arg("layout"), py::arg("matrix"),
                    py::arg("full_range"))
        .def_property_readonly("width", [](const Picture& picture) { return picture.view().width; })
        .def_property_readonly("height", [](const Picture& picture) { return picture.view().height; });
    module.def("letterbox", &letterbox_all, py::arg("pictures"), py::arg("out"), py::arg("bgr"), py::arg("mean"),
               py::arg("scale"), py::arg("per_pixel") = false);
    module.def("similarity", &similarity_of, py::arg("landmarks"), py::arg("template"));
    module.def("warp", &warp_all, py::arg("pictures"), py::arg("picture_index"), py::arg("to_frame"), py::arg("out"),
               py::arg("bgr"), py::arg("mean"), py::arg("scale"), py::arg("per_pixel") = false);
    module.def("crop_rgb", &crop_one, py::arg("picture"), py::arg("to_frame"), py::arg("out"));
    module.def("coarse_luma", &coarse_luma_of, py::arg("picture"), py::arg("cell_px"));
    module.def("measure_quality", &quality_of, py::arg("pictures"), py::arg("picture_index"), py::arg("landmarks"));
    module.def("measure_scenes", &scenes_of, py::arg("pictures"));
}

}  // namespace pylfr
