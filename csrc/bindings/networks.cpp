// What networks of other libraries call while they run.
#include <string>

#include "bindings/checks.hpp"
#include "bindings/exchange.hpp"
#include "ops/ops.hpp"

namespace pylfr {

namespace {

constexpr std::int64_t chunk_bytes = 16;

void require_like(const ForeignArray& values, const ForeignArray& array, const Lengths& shape, const char* name) {
    if (array.device != values.device || array.element != values.element || array.shape != shape) {
        throw py::value_error(std::string(name) + " must be " + name_of(values.element) + " " + text_of(shape) +
                              " on " + name_of(values.device) + ", got " + name_of(array.element) + " " +
                              text_of(array.shape) + " on " + name_of(array.device));
    }
    const auto packed = static_cast<std::int64_t>(size_of(array.element)) * (shape.size() == 2 ? shape[1] : 1);
    if (shape[0] > 1 && array.row_bytes != packed) throw py::value_error(std::string(name) + " must have no padding");
    if (reinterpret_cast<std::uintptr_t>(array.memory) % chunk_bytes != 0) {
        throw py::value_error(std::string(name) + " must begin at a multiple of 16 bytes: pass a copy of it");
    }
}

// The memory of an array, which must have this shape; null for None.
const void* memory_of(const ForeignArray& values, const py::object& array, const Lengths& shape, const char* name) {
    if (array.is_none()) return nullptr;
    const ForeignArray given = described(array);
    require_like(values, given, shape, name);
    return given.memory;
}

// Takes other libraries' arrays, and a stream by its handle: nothing may wait while a network is captured as a graph,
// and destroying a Tensor or a Stream of ours would.
void finish_all(const py::object& values, const py::object& bias, const py::object& shortcut, const py::object& slope,
                std::intptr_t stream) {
    const ForeignArray given = described(values);
    if (given.element != Element::float16 && given.element != Element::float32) {
        throw py::type_error(std::string("values must be float16 or float32, got ") + name_of(given.element));
    }
    if (given.shape.size() != 2) throw py::value_error("values must be [rows, channels], got " + text_of(given.shape));
    if (given.is_read_only) throw py::value_error("values are changed in place, got a read-only array");
    const std::int64_t channels = given.shape[1];
    const auto together = chunk_bytes / static_cast<std::int64_t>(size_of(given.element));
    if (channels < 1 || channels % together != 0) {
        throw py::value_error("values must have channels by the " + std::to_string(together) + ", got " +
                              std::to_string(channels));
    }
    require_like(given, given, given.shape, "values");
    const Finish finish{given.memory,
                        memory_of(given, bias, {channels}, "bias"),
                        memory_of(given, shortcut, given.shape, "shortcut"),
                        memory_of(given, slope, {channels}, "slope"),
                        given.shape[0],
                        channels};
    const py::gil_scoped_release release;
    finish_convolution(finish, given.element == Element::float16, Place{given.device, reinterpret_cast<void*>(stream)});
}

}  // namespace

void bind_networks(py::module_& module) {
    module.def("finish_convolution", &finish_all, py::arg("values"), py::arg("bias"), py::arg("shortcut"),
               py::arg("slope"), py::arg("stream"));
}

}  // namespace pylfr
