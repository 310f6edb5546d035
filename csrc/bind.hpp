// What the bindings share: NumPy arrays checked and seen as plain memory. Only bind*.cpp include this.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <initializer_list>
#include <string>

#include "ops.hpp"

namespace pylfr {

namespace py = pybind11;

constexpr py::ssize_t any_length = -1;

// "float32 [N, 4]", from a dtype and lengths; any_length reads "any".
std::string shape_text(const char* dtype, std::initializer_list<py::ssize_t> shape);

// Throw TypeError for another dtype, ValueError for another shape, naming both and the fix.
void require_dtype(const py::array& array, const py::dtype& dtype, const char* name, const std::string& wanted);
void require_shape(const py::array& array, std::initializer_list<py::ssize_t> shape, const char* name,
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
    require_shape(array, shape, name, wanted);
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

// Throws ValueError for an index that is not below `count`.
void require_indices(const std::int32_t* indices, py::ssize_t length, py::ssize_t count, const char* name,
                     const char* of);

// Throws ValueError unless all values are finite.
void require_finite(const float* numbers, py::ssize_t length, const char* name);

void bind_detections(py::module_& module);
void bind_pictures(py::module_& module);
void bind_templates(py::module_& module);
void bind_tensor(py::module_& module);
void bind_tracker(py::module_& module);

}  // namespace pylfr
