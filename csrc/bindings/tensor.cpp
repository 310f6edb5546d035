// Tensors, streams and events in Python, and copies between them and arrays of the host.
#include <algorithm>
#include <cstring>
#include <memory>

#include "bindings/checks.hpp"
#include "bindings/exchange.hpp"
#include "core/memory.hpp"
#include "core/tensor.hpp"

namespace pylfr {

namespace {

Device device_named(const std::string& name) {
    if (name == "cpu") return Device::cpu;
    if (name == "cuda") return Device::cuda;
    throw py::value_error("device must be cpu or cuda, got '" + name + "'");
}

Tensor make_tensor(const Lengths& shape, const std::string& dtype, const SharedStream& stream, bool is_pooled) {
    if (stream == nullptr) throw py::type_error("stream must be a Stream of the tensor's device, got None");
    return Tensor(shape, element_named(dtype), stream, is_pooled);
}

void require_device(const Tensor& tensor, const Stream& stream) {
    if (tensor.device() == stream.device()) return;
    throw py::value_error(std::string("the stream must be one of ") + name_of(tensor.device()) + ", got one of " +
                          name_of(stream.device()));
}

// Throws unless the array has the tensor's dtype and shape, both without padding.
void require_like(const Tensor& tensor, const py::array& array) {
    const std::string wanted = std::string(name_of(tensor.element())) + " " + text_of(tensor.shape());
    require_dtype(array, py::dtype(name_of(tensor.element())), "array", wanted);
    const bool fits = array.ndim() == static_cast<py::ssize_t>(tensor.shape().size()) &&
                      std::equal(tensor.shape().begin(), tensor.shape().end(), array.shape());
    if (!fits) throw py::value_error("array must be " + wanted + ", got shape " + shape_of_array(array));
    require_packed(array, "array", wanted);
    if (!tensor.is_packed()) throw py::value_error("a tensor with padded rows cannot be copied: copy its rows");
}

// Copies of up to this much go through pinned memory; for more the driver's own staging does as well.
constexpr std::size_t most_pinned = std::size_t{1} << 22;

void copy_to(const Tensor& tensor, py::array array, const SharedStream& stream) {
    require_like(tensor, array);
    require_writeable(array, "array");
    void* to = array.mutable_data();
    const py::gil_scoped_release release;
    if (tensor.device() == Device::cuda && tensor.bytes() <= most_pinned) {
        Readback(tensor, stream).into(to);
        return;
    }
    copy_bytes(to, Device::cpu, tensor.memory(), tensor.device(), tensor.bytes(), stream->handle());
    stream->synchronise();
}

Held<Readback> arrival_of(const Tensor& tensor, const SharedStream& stream) {
    require_device(tensor, *stream);
    if (!tensor.is_packed()) throw py::value_error("a tensor with padded rows cannot be copied: copy its rows");
    const py::gil_scoped_release release;
    return Held<Readback>(new Readback(tensor, stream));
}

void arrive(const Readback& arrival, py::array array) {
    require_like(arrival.tensor(), array);
    require_writeable(array, "array");
    void* to = array.mutable_data();
    const py::gil_scoped_release release;
    arrival.into(to);
}

void copy_from(const Tensor& tensor, const py::array& array, const Stream& stream) {
    require_like(tensor, array);
    if (tensor.is_read_only()) throw py::value_error("a read-only tensor cannot be written to");
    const void* from = array.data();
    const py::gil_scoped_release release;
    copy_bytes(tensor.memory(), tensor.device(), from, Device::cpu, tensor.bytes(), stream.handle());
    stream.synchronise();
}

MemoryKind kind_named(const std::string& name) {
    if (name == "pinned") return MemoryKind::pinned;
    return device_named(name) == Device::cuda ? MemoryKind::device : MemoryKind::plain;
}

}  // namespace

void bind_tensor(py::module_& module) {
    py::class_<Event>(module, "Event")
        .def_property_readonly("is_done", &Event::is_done)
        .def("synchronise", &Event::synchronise, py::call_guard<py::gil_scoped_release>())
        .def("ms_since", &Event::ms_since, py::arg("earlier"));

    py::class_<Stream, SharedStream>(module, "Stream")
        .def(py::init([](const std::string& device) { return std::make_shared<Stream>(device_named(device)); }),
             py::arg("device"))
        .def_static("borrow", &borrowed_stream, py::arg("handle"), py::arg("owner") = py::none())
        .def_property_readonly("device", [](const Stream& stream) { return name_of(stream.device()); })
        .def_property_readonly("handle",
                               [](const Stream& stream) { return reinterpret_cast<std::intptr_t>(stream.handle()); })
        .def("synchronise", &Stream::synchronise, py::call_guard<py::gil_scoped_release>())
        .def("wait", &Stream::wait, py::arg("event"))
        .def(
            "record", [](const Stream& stream, bool timed) { return std::make_unique<Event>(stream, timed); },
            py::arg("timed") = false);

    py::class_<Graph>(module, "Graph")
        .def(py::init<const Stream&, std::function<void()>>(), py::arg("stream"), py::arg("work"))
        .def("replay", &Graph::replay, py::arg("stream"));

    py::class_<Tensor, Held<Tensor>>(module, "Tensor")
        .def(py::init(&make_tensor), py::arg("shape"), py::arg("dtype"), py::arg("stream"), py::arg("pooled") = true)
        .def_static("borrow", &borrow, py::arg("array"), py::arg("stream"))
        .def_static("borrow_together", &borrow_together, py::arg("arrays"), py::arg("stream"))
        .def_property_readonly("shape", [](const Tensor& tensor) { return py::tuple(py::cast(tensor.shape())); })
        .def_property_readonly("dtype", [](const Tensor& tensor) { return name_of(tensor.element()); })
        .def_property_readonly("device", [](const Tensor& tensor) { return name_of(tensor.device()); })
        .def_property_readonly("nbytes", &Tensor::bytes)
        .def_property_readonly("row_bytes", &Tensor::row_bytes)
        .def_property_readonly("is_read_only", &Tensor::is_read_only)
        .def_property_readonly("stream", &Tensor::stream)
        .def_property_readonly("pointer",
                               [](const Tensor& tensor) { return reinterpret_cast<std::uintptr_t>(tensor.memory()); })
        .def("__len__",
             [](const Tensor& tensor) {
                 if (tensor.shape().empty()) throw py::type_error("a tensor without axes has no length");
                 return tensor.shape()[0];
             })
        .def("rows", &Tensor::rows, py::arg("start"), py::arg("stop"))
        .def("reshaped", &Tensor::reshaped, py::arg("shape"))
        .def(
            "seen_as",
            [](const Tensor& tensor, const Lengths& shape, const std::string& dtype) {
                return tensor.seen_as(shape, element_named(dtype));
            },
            py::arg("shape"), py::arg("dtype"))
        .def(
            "copy_from",
            [](const Tensor& tensor, const py::array& array, const Stream& stream) {
                require_device(tensor, stream);
                copy_from(tensor, array, stream);
            },
            py::arg("array"), py::arg("stream"))
        .def(
            "copy_to",
            [](const Tensor& tensor, const py::array& array, const SharedStream& stream) {
                require_device(tensor, *stream);
                copy_to(tensor, array, stream);
            },
            py::arg("array"), py::arg("stream").none(false))
        .def(
            "take",
            [](const Tensor& tensor, const Tensor& other, const Stream& stream) {
                require_device(tensor, stream);
                require_device(other, stream);
                if (tensor.shape() != other.shape() || tensor.element() != other.element()) {
                    throw py::value_error("a tensor takes over one of its own shape and dtype");
                }
                if (tensor.is_read_only()) throw py::value_error("a read-only tensor cannot take over another");
                if (!tensor.is_packed() || !other.is_packed()) {
                    throw py::value_error("a tensor with padded rows cannot be copied: copy its rows");
                }
                copy_bytes(tensor.memory(), tensor.device(), other.memory(), other.device(), other.bytes(),
                           stream.handle());
            },
            py::arg("other"), py::arg("stream"))
        .def(
            "wipe",
            [](const Tensor& tensor, const Stream& stream) {
                require_device(tensor, stream);
                tensor.wipe(stream);
            },
            py::arg("stream"))
        .def("__dlpack__", &to_dlpack, py::kw_only(), py::arg("stream") = py::none(),
             py::arg("max_version") = py::none(), py::arg("dl_device") = py::none(), py::arg("copy") = py::none())
        .def("__dlpack_device__",
             [](const Tensor& tensor) {
                 return tensor.device() == Device::cuda ? py::make_tuple(2, tensor.device_index())
                                                        : py::make_tuple(1, 0);
             })
        .def_property_readonly("__cuda_array_interface__", &to_cuda_array);

    py::class_<Readback, Held<Readback>>(module, "Readback")
        .def(py::init(&arrival_of), py::arg("tensor").none(false), py::arg("stream").none(false))
        .def("into", &arrive, py::arg("array"));

    py::class_<MemoryCounts>(module, "MemoryCounts")
        .def_readonly("held_bytes", &MemoryCounts::held_bytes)
        .def_readonly("lent_bytes", &MemoryCounts::lent_bytes)
        .def_readonly("high_water_bytes", &MemoryCounts::high_water_bytes)
        .def_readonly("allocations", &MemoryCounts::allocations)
        .def_readonly("loans", &MemoryCounts::loans);
    module.def(
        "memory_counts", [](const std::string& kind) { return memory_pool(kind_named(kind)).counts(); },
        py::arg("kind"));
    module.def(
        "release_memory",
        [](const std::string& kind) {
            const MemoryKind which = kind_named(kind);
            const py::gil_scoped_release release;
            if (which != MemoryKind::plain) cuda::synchronise_all();
            memory_pool(which).clear();
        },
        py::arg("kind"));
    module.def("cuda_launches", &cuda_launches);
}

}  // namespace pylfr
