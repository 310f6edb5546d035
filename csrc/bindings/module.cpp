// The module: its errors, its facts about the machine, and the checks that all bindings share.
#include "bindings/checks.hpp"

#include <cmath>
#include <cstdint>

#include "cpu/simd.hpp"

namespace pylfr {

namespace {

std::string joined(const py::ssize_t* lengths, std::size_t count) {
    std::string text = "[";
    for (std::size_t i = 0; i < count; ++i) {
        if (i > 0) text += ", ";
        text += lengths[i] == any_length ? "any" : std::to_string(lengths[i]);
    }
    return text + "]";
}

}  // namespace

std::string shape_text(const char* dtype, const py::ssize_t* lengths, std::size_t axes) {
    return std::string(dtype) + " " + joined(lengths, axes);
}

std::string shape_of_array(const py::array& array) {
    return joined(array.shape(), static_cast<std::size_t>(array.ndim()));
}

void require_dtype(const py::array& array, const py::dtype& dtype, const char* name, const std::string& wanted) {
    if (array.dtype().equal(dtype)) return;
    const std::string got = py::str(static_cast<const py::object&>(array.dtype()));
    throw py::type_error(std::string(name) + " must be " + wanted + ", got dtype " + got + ": convert it with astype");
}

void require_shape(const py::array& array, const py::ssize_t* lengths, std::size_t axes, const char* name,
                   const std::string& wanted) {
    bool fits = array.ndim() == static_cast<py::ssize_t>(axes);
    for (std::size_t axis = 0; fits && axis < axes; ++axis) {
        fits = lengths[axis] == any_length || array.shape(static_cast<py::ssize_t>(axis)) == lengths[axis];
    }
    if (!fits) throw py::value_error(std::string(name) + " must be " + wanted + ", got shape " + shape_of_array(array));
}

void require_packed(const py::array& array, const char* name, const std::string& wanted) {
    if ((array.flags() & py::array::c_style) == 0) {
        throw py::value_error(std::string(name) + " must be " + wanted +
                              " and C-contiguous, got a strided view: pass numpy.ascontiguousarray of it");
    }
    // A view into bytes may begin anywhere; reading misaligned numbers is undefined behaviour.
    const auto bytes = static_cast<std::uintptr_t>(array.itemsize());
    if (array.size() > 0 && reinterpret_cast<std::uintptr_t>(array.data()) % bytes != 0) {
        throw py::value_error(std::string(name) + " must be " + wanted + " at a multiple of " + std::to_string(bytes) +
                              " bytes, got a misaligned view: pass a copy of it");
    }
}

void require_writeable(const py::array& array, const char* name) {
    if (!array.writeable()) throw py::value_error(std::string(name) + " must be writeable, got a read-only array");
}

void require_tensor(const Tensor& tensor, Element element, std::initializer_list<py::ssize_t> shape,
                    const Stream& stream, const char* name) {
    const std::string wanted = shape_text(name_of(element), shape);
    if (tensor.element() != element) {
        throw py::type_error(std::string(name) + " must be " + wanted + ", got dtype " + name_of(tensor.element()));
    }
    bool fits = tensor.shape().size() == shape.size();
    std::size_t axis = 0;
    for (const py::ssize_t length : shape) {
        fits = fits && (length == any_length || tensor.shape()[axis] == length);
        ++axis;
    }
    if (!fits) {
        throw py::value_error(std::string(name) + " must be " + wanted + ", got shape " + text_of(tensor.shape()));
    }
    if (!tensor.is_packed()) throw py::value_error(std::string(name) + " must be " + wanted + " without padded rows");
    if (tensor.device() != stream.device()) {
        throw py::value_error(std::string(name) + " must be on " + name_of(stream.device()) + ", got one on " +
                              name_of(tensor.device()) + ": nothing is copied in silence");
    }
}

void require_room(const Tensor& tensor, Element element, std::initializer_list<py::ssize_t> shape, const Stream& stream,
                  const char* name) {
    require_tensor(tensor, element, shape, stream, name);
    if (tensor.is_read_only()) throw py::value_error(std::string(name) + " must be writeable, got a read-only tensor");
}

void require_indices(const std::int32_t* indices, py::ssize_t length, py::ssize_t count, const char* name,
                     const char* of) {
    for (py::ssize_t i = 0; i < length; ++i) {
        if (indices[i] >= 0 && indices[i] < count) continue;
        throw py::value_error(std::string(name) + " must name one of " + std::to_string(count) + " " + of + ", got " +
                              std::to_string(indices[i]) + " in row " + std::to_string(i));
    }
}

void require_sides(py::ssize_t height, py::ssize_t width, const char* name, bool may_be_empty) {
    const py::ssize_t shortest = may_be_empty ? 0 : 1;
    if (height >= shortest && width >= shortest && height <= longest_side && width <= longest_side) return;
    throw py::value_error(std::string(name) + " must be " + (may_be_empty ? "at most " : "1 to ") +
                          std::to_string(longest_side) + " pixels wide and high, got " + std::to_string(width) + "x" +
                          std::to_string(height));
}

void require_grid(const std::vector<int>& strides, int width, int height, int anchors) {
    constexpr int most_anchors = 1 << 10;
    if (anchors < 1 || anchors > most_anchors) {
        throw py::value_error("anchors must be 1 to " + std::to_string(most_anchors) + " a cell, got " +
                              std::to_string(anchors));
    }
    require_sides(height, width, "the network's input");
    for (const int stride : strides) {
        if (stride > 0 && width % stride == 0 && height % stride == 0) continue;
        throw py::value_error("the network's input must be a multiple of stride " + std::to_string(stride) + ", got " +
                              std::to_string(width) + "x" + std::to_string(height));
    }
}

void require_finite(const float* numbers, py::ssize_t length, const char* name) {
    for (py::ssize_t i = 0; i < length; ++i) {
        if (std::isfinite(numbers[i])) continue;
        throw py::value_error(std::string(name) + " must be finite, got " + std::to_string(numbers[i]) +
                              " at position " + std::to_string(i) + ": drop such faces first");
    }
}

}  // namespace pylfr

PYBIND11_MODULE(_core, module) {
    namespace py = pybind11;
    module.doc() = "The native core of pylfr; pylfr.ops is the only module that imports it.";
    // Looked up when it is needed: importing pylfr.errors from here would run before the package is ready.
    py::register_exception_translator([](std::exception_ptr thrown) {
        try {
            if (thrown) std::rethrow_exception(thrown);
        } catch (const pylfr::CudaError& error) {
            const py::object kind = py::module_::import("pylfr.errors").attr("CudaError");
            PyErr_SetString(kind.ptr(), error.what());
        }
    });
    module.def("built_with_cuda", &pylfr::built_with_cuda);
    module.def("cuda_device_count", &pylfr::cuda_device_count, py::call_guard<py::gil_scoped_release>());
    module.def("simd_level", [] { return pylfr::hot_loops().simd_level; });
    pylfr::bind_pictures(module);
    pylfr::bind_detections(module);
    pylfr::bind_tracker(module);
    pylfr::bind_templates(module);
    pylfr::bind_tensor(module);
    pylfr::bind_batch(module);
    pylfr::bind_search(module);
    pylfr::bind_networks(module);
    pylfr::bind_video(module);
}
