// What the bindings share: NumPy arrays checked and seen as plain memory. Only bindings/ includes this.
#pragma once

#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>

#include "core/readback.hpp"
#include "core/staging.hpp"
#include "core/tensor.hpp"
#include "ops/ops.hpp"

namespace pylfr {

namespace py = pybind11;

constexpr py::ssize_t any_length = -1;

// Whether the destructor waits for the device; overloads say of which objects it does not.
template <class T>
bool may_wait(const T&) {
    return true;
}
inline bool may_wait(const Tensor& tensor) {
    return tensor.may_wait();
}
inline bool may_wait(const Readback& readback) {
    return !readback.is_done();
}

// Deletes what a Python object holds, without the GIL where that waits for the device.
template <class T>
struct EndWithoutGil {
    void operator()(T* object) const {
        if (!may_wait(*object)) {
            delete object;
            return;
        }
        const py::gil_scoped_release release;
        delete object;
    }
};

template <class T>
using Held = std::unique_ptr<T, EndWithoutGil<T>>;

// "float32 [N, 4]", from a dtype and lengths; any_length is written "any".
std::string shape_text(const char* dtype, const py::ssize_t* lengths, std::size_t axes);
inline std::string shape_text(const char* dtype, std::initializer_list<py::ssize_t> shape) {
    return shape_text(dtype, shape.begin(), shape.size());
}

// Throw TypeError for another dtype, ValueError for another shape, naming both and the fix.
void require_dtype(const py::array& array, const py::dtype& dtype, const char* name, const std::string& wanted);
void require_shape(const py::array& array, const py::ssize_t* lengths, std::size_t axes, const char* name,
                   const std::string& wanted);
void require_packed(const py::array& array, const char* name, const std::string& wanted);
void require_writeable(const py::array& array, const char* name);
std::string shape_of_array(const py::array& array);

template <class T>
constexpr const char* dtype_name();
template <>
constexpr const char* dtype_name<float>() {
    return "float32";
}
template <>
constexpr const char* dtype_name<std::int32_t>() {
    return "int32";
}
template <>
constexpr const char* dtype_name<std::int64_t>() {
    return "int64";
}
template <>
constexpr const char* dtype_name<std::uint8_t>() {
    return "uint8";
}

// A C-contiguous array of T with this shape, as memory. The array must outlive the pointer.
template <class T>
const T* values(const py::array& array, std::initializer_list<py::ssize_t> shape, const char* name) {
    const std::string wanted = shape_text(dtype_name<T>(), shape);
    require_dtype(array, py::dtype::of<T>(), name, wanted);
    require_shape(array, shape.begin(), shape.size(), name, wanted);
    require_packed(array, name, wanted);
    return static_cast<const T*>(array.data());
}

// As `values`, to be written to.
template <class T>
T* room(py::array& array, std::initializer_list<py::ssize_t> shape, const char* name) {
    values<T>(array, shape, name);
    require_writeable(array, name);
    return static_cast<T*>(array.mutable_data());
}

// A new array that holds a copy.
template <class T>
py::array_t<T> copied(const T* from, std::initializer_list<py::ssize_t> shape) {
    return py::array_t<T>(py::array::ShapeContainer(shape), from);
}

// A row-major tensor of this dtype and shape, on the stream's device, as memory. Throws like `values`.
void require_tensor(const Tensor& tensor, Element element, std::initializer_list<py::ssize_t> shape,
                    const Stream& stream, const char* name);
void require_room(const Tensor& tensor, Element element, std::initializer_list<py::ssize_t> shape, const Stream& stream,
                  const char* name);

// Borrows the planes' memory and keeps their arrays, or tensors, alive.
class Picture {
 public:
    Picture(const std::vector<py::array>& planes, const std::string& layout, const std::string& matrix,
            bool full_range);
    static std::shared_ptr<Picture> of_surfaces(const std::vector<Tensor>& surfaces, const std::string& layout,
                                                const std::string& matrix, bool full_range);

    const PictureView& view() const { return view_; }
    const std::vector<Tensor>& surfaces() const { return surfaces_; }

 private:
    Picture() = default;
    void describe(std::size_t planes, const std::string& layout, const std::string& matrix, bool full_range);
    void measure(py::ssize_t width, py::ssize_t height);
    std::vector<py::ssize_t> shape_of_plane(std::size_t index) const;

    std::vector<py::array> planes_;
    std::vector<Tensor> surfaces_;
    PictureView view_{};
};

Encoding encoding_of(bool bgr, const std::vector<float>& mean, const std::vector<float>& scale);

// Throws ValueError for an index that is not below `count`.
void require_indices(const std::int32_t* indices, py::ssize_t length, py::ssize_t count, const char* name,
                     const char* of);

// Throws ValueError unless a picture of this size is 1 to 32768 pixels wide and high, or at most so where it may be
// empty.
constexpr py::ssize_t longest_side = 1 << 15;
void require_sides(py::ssize_t height, py::ssize_t width, const char* name, bool may_be_empty = false);

// Throws ValueError unless each stride divides the network's input, which has sides of 1 to 32768 pixels, and there are
// 1 to 1024 anchors a cell: products of them do not overflow.
void require_grid(const std::vector<int>& strides, int width, int height, int anchors);

// Throws ValueError unless all values are finite.
void require_finite(const float* numbers, py::ssize_t length, const char* name);

void bind_batch(py::module_& module);
void bind_detections(py::module_& module);
void bind_networks(py::module_& module);
void bind_video(py::module_& module);
void bind_pictures(py::module_& module);
void bind_search(py::module_& module);
void bind_templates(py::module_& module);
void bind_tensor(py::module_& module);
void bind_tracker(py::module_& module);

}  // namespace pylfr
