// Tensors, streams and events in Python: how arrays enter and leave, and how work is ordered.
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "bind.hpp"
#include "dlpack.hpp"
#include "memory.hpp"
#include "tensor.hpp"

namespace pylfr {

namespace {

using SharedStream = std::shared_ptr<Stream>;

constexpr const char* old_capsule = "dltensor";
constexpr const char* versioned_capsule = "dltensor_versioned";
constexpr const char* used_old_capsule = "used_dltensor";
constexpr const char* used_versioned_capsule = "used_dltensor_versioned";

Device device_named(const std::string& name) {
    if (name == "cpu") return Device::cpu;
    if (name == "cuda") return Device::cuda;
    throw py::value_error("device must be cpu or cuda, got '" + name + "'");
}

// A Python object as an owner: let go under the GIL, from whatever thread.
std::shared_ptr<void> kept_alive(const py::object& object) {
    if (object.is_none()) return nullptr;
    return {object.inc_ref().ptr(), [](void* held) {
                const py::gil_scoped_acquire acquire;
                Py_DECREF(static_cast<PyObject*>(held));
            }};
}

// How other libraries number streams: 1 is the legacy default stream, 2 the calling thread's, 0 is ambiguous.
std::intptr_t number_of(const Stream& stream) {
    const auto handle = reinterpret_cast<std::intptr_t>(stream.handle());
    return handle == 0 ? 1 : handle;
}

SharedStream borrowed_stream(std::intptr_t handle, const py::object& owner) {
    if (handle < 0) throw py::value_error("a stream's handle must be 0 or more, got " + std::to_string(handle));
    if (cuda_device_count() == 0) {
        throw CudaError(built_with_cuda()
                            ? "no CUDA device was found, so there is no stream to borrow: check the driver"
                            : "this build has no CUDA: build with -Ccmake.define.PYLFR_CUDA=ON");
    }
    return std::make_shared<Stream>(reinterpret_cast<void*>(handle), kept_alive(owner));
}

// Work that is queued on stream `number` of somebody else comes before what we queue on `stream`, or after it. Nobody
// waits for it: 1 and 2 are CUDA's own handles for the two default streams.
void order(const Stream& stream, std::intptr_t number, bool ours_first) {
    void* theirs = reinterpret_cast<void*>(number);
    void* first = ours_first ? stream.handle() : theirs;
    void* second = ours_first ? theirs : stream.handle();
    if (first == second) return;
    const std::unique_ptr<void, void (*)(void*)> event(cuda::make_event(false), &cuda::destroy_event);
    cuda::record(event.get(), first);
    cuda::wait(second, event.get());
}

// Before `owner` is let go, what it queues on stream `number` from then on comes after our work: a decoder writes its
// next picture into the same memory.
std::shared_ptr<void> let_go_in_order(std::shared_ptr<void> owner, const SharedStream& stream, std::intptr_t number) {
    void* held = owner.get();
    return {held, [owner = std::move(owner), stream, number](void*) {
                try {
                    order(*stream, number, true);
                } catch (...) {  // the context is gone or has failed: nothing is read there any more
                }
            }};
}

dlpack::Type type_of(Element element) {
    const auto bits = static_cast<std::uint8_t>(8 * size_of(element));
    switch (element) {
        case Element::float32:
        case Element::float16:
            return {dlpack::is_float, bits, 1};
        case Element::uint8:
            return {dlpack::is_uint, bits, 1};
        default:
            return {dlpack::is_int, bits, 1};
    }
}

Element element_of(const dlpack::Type& type) {
    for (const Element element :
         {Element::float32, Element::float16, Element::int8, Element::uint8, Element::int32, Element::int64}) {
        const dlpack::Type known = type_of(element);
        if (type.code == known.code && type.bits == known.bits && type.lanes == 1) return element;
    }
    throw py::type_error("an array must be float32, float16, int8, uint8, int32 or int64, got DLPack type " +
                         std::to_string(type.code) + " of " + std::to_string(type.bits) + " bits");
}

// The bytes from one row to the next. Throws unless the axes after the first lie without gaps.
std::int64_t row_bytes_of(const Lengths& shape, const std::vector<std::int64_t>& stride_bytes, std::size_t item) {
    auto packed = static_cast<std::int64_t>(item);
    for (std::size_t axis = shape.size(); axis-- > 1;) {
        if (shape[axis] != 1 && stride_bytes[axis] != packed) {
            throw py::value_error("an array must be row-major, only its rows may be padded, got " + text_of(shape) +
                                  " with other strides: make it contiguous first");
        }
        packed *= shape[axis];
    }
    if (shape.empty() || shape[0] <= 1) return packed;
    if (stride_bytes[0] < packed) {
        throw py::value_error("an array must be row-major, got " + text_of(shape) +
                              " with other strides: make it contiguous first");
    }
    return stride_bytes[0];
}

void require_home(Device found, const Stream& stream) {
    if (found == stream.device()) return;
    throw py::value_error(std::string("an array on ") + name_of(found) + " needs a stream of that device, got one of " +
                          name_of(stream.device()) + ": nothing is copied in silence");
}

// What both DLPack records hold in common, as a tensor.
Tensor tensor_of(const dlpack::Array& array, const SharedStream& stream, std::shared_ptr<void> owner, bool read_only) {
    const bool is_cpu = array.device.type == dlpack::on_cpu || array.device.type == dlpack::on_cuda_host;
    const bool is_cuda = array.device.type == dlpack::on_cuda || array.device.type == dlpack::on_cuda_managed;
    if (!is_cpu && !is_cuda) {
        throw py::value_error("an array must be on cpu or cuda, got DLPack device " +
                              std::to_string(array.device.type));
    }
    require_home(is_cuda ? Device::cuda : Device::cpu, *stream);
    if (is_cuda && array.device.index != cuda::current_device()) {
        throw py::value_error("an array must be on the current CUDA device " + std::to_string(cuda::current_device()) +
                              ", got device " + std::to_string(array.device.index) + ": run one process a GPU");
    }
    const Element element = element_of(array.type);
    const Lengths shape(array.shape, array.shape + array.axes);
    std::vector<std::int64_t> stride_bytes(shape.size());
    auto packed = static_cast<std::int64_t>(size_of(element));
    for (std::size_t axis = shape.size(); axis-- > 0;) {
        stride_bytes[axis] =
            array.strides == nullptr ? packed : array.strides[axis] * static_cast<std::int64_t>(size_of(element));
        packed *= shape[axis];
    }
    const std::int64_t row_bytes = row_bytes_of(shape, stride_bytes, size_of(element));
    return Tensor(static_cast<std::uint8_t*>(array.memory) + array.byte_offset, shape, row_bytes, element, stream,
                  std::move(owner), read_only);
}

py::object capsule_from(const py::object& array, const Stream& stream) {
    py::dict asked;
    if (stream.device() == Device::cuda) asked["stream"] = number_of(stream);
    const py::object give = array.attr("__dlpack__");
    try {
        py::dict newer = asked.attr("copy")();
        newer["max_version"] = py::make_tuple(dlpack::major_version, 0);
        return give(**newer);
    } catch (py::error_already_set& error) {
        if (!error.matches(PyExc_TypeError)) throw;
        return give(**asked);  // a producer from before DLPack 1.0
    }
}

Tensor from_dlpack(const py::object& array, const SharedStream& stream) {
    const auto device = array.attr("__dlpack_device__")().cast<std::pair<int, int>>();
    const bool is_cuda = device.first == dlpack::on_cuda || device.first == dlpack::on_cuda_managed;
    require_home(is_cuda ? Device::cuda : Device::cpu, *stream);
    const py::object capsule = capsule_from(array, *stream);
    // From here the record is ours to delete: the capsule is renamed, as the protocol asks.
    if (PyCapsule_IsValid(capsule.ptr(), versioned_capsule) != 0) {
        auto* managed = static_cast<dlpack::ManagedVersioned*>(PyCapsule_GetPointer(capsule.ptr(), versioned_capsule));
        if (managed->major != dlpack::major_version) {
            throw py::buffer_error("DLPack " + std::to_string(managed->major) + " is not known here, only version 1");
        }
        PyCapsule_SetName(capsule.ptr(), used_versioned_capsule);
        const std::shared_ptr<void> owner(managed, [](void* held) {
            const py::gil_scoped_acquire acquire;
            auto* record = static_cast<dlpack::ManagedVersioned*>(held);
            if (record->deleter != nullptr) record->deleter(record);
        });
        return tensor_of(managed->array, stream, owner, (managed->flags & dlpack::read_only_flag) != 0);
    }
    auto* managed = static_cast<dlpack::Managed*>(PyCapsule_GetPointer(capsule.ptr(), old_capsule));
    if (managed == nullptr) throw py::error_already_set();
    PyCapsule_SetName(capsule.ptr(), used_old_capsule);
    const std::shared_ptr<void> owner(managed, [](void* held) {
        const py::gil_scoped_acquire acquire;
        auto* record = static_cast<dlpack::Managed*>(held);
        if (record->deleter != nullptr) record->deleter(record);
    });
    return tensor_of(managed->array, stream, owner, false);
}

// numba's `__cuda_array_interface__`, versions 0 to 3: what pycuda gives.
Tensor from_cuda_array(const py::object& array, const SharedStream& stream) {
    const py::dict given = array.attr("__cuda_array_interface__");
    const auto memory = given["data"].cast<std::pair<std::uintptr_t, bool>>();
    const auto shape = given["shape"].cast<Lengths>();
    const auto typestr = given["typestr"].cast<std::string>();
    const py::dtype dtype(typestr);
    if (!dtype.attr("isnative").cast<bool>()) {
        throw py::type_error("an array must have this machine's byte order, got typestr '" + typestr + "'");
    }
    const Element element = element_named(py::str(dtype.attr("name")));
    const auto item = static_cast<std::int64_t>(size_of(element));
    std::vector<std::int64_t> stride_bytes(shape.size());
    std::int64_t packed = item;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
        stride_bytes[axis] = packed;
        packed *= shape[axis];
    }
    if (given.contains("strides") && !given["strides"].is_none()) stride_bytes = given["strides"].cast<Lengths>();
    if (stride_bytes.size() != shape.size()) throw py::value_error("strides must have one number an axis");
    const std::int64_t row_bytes = row_bytes_of(shape, stride_bytes, static_cast<std::size_t>(item));
    require_home(Device::cuda, *stream);
    std::shared_ptr<void> owner = kept_alive(array);
    if (given.contains("stream") && !given["stream"].is_none()) {
        const auto theirs = given["stream"].cast<std::intptr_t>();
        order(*stream, theirs, false);
        owner = let_go_in_order(std::move(owner), stream, theirs);
    }
    return Tensor(reinterpret_cast<void*>(memory.first), shape, row_bytes, element, stream, std::move(owner),
                  memory.second);
}

Tensor borrow(const py::object& array, const SharedStream& stream) {
    if (stream == nullptr) throw py::type_error("stream must be a Stream of the array's device, got None");
    if (py::hasattr(array, "__dlpack__")) return from_dlpack(array, stream);
    if (py::hasattr(array, "__cuda_array_interface__")) return from_cuda_array(array, stream);
    throw py::type_error("an array must have __dlpack__ or __cuda_array_interface__, got " +
                         std::string(py::str(py::type::handle_of(array).attr("__name__"))));
}

// What a DLPack record of ours keeps alive.
template <class Managed>
struct Lent {
    Tensor tensor;
    std::vector<std::int64_t> shape, strides;
    Managed record{};
};

template <class Managed>
Lent<Managed>* lend(const Tensor& tensor) {
    auto* lent = new Lent<Managed>{tensor, tensor.shape(), {}, {}};
    const auto item = static_cast<std::int64_t>(size_of(tensor.element()));
    lent->strides.resize(lent->shape.size());
    std::int64_t packed = 1;
    for (std::size_t axis = lent->shape.size(); axis-- > 0;) {
        lent->strides[axis] = axis == 0 ? tensor.row_bytes() / item : packed;
        packed *= lent->shape[axis];
    }
    const bool is_cuda = tensor.device() == Device::cuda;
    lent->record.array = {tensor.memory(),
                          {is_cuda ? dlpack::on_cuda : dlpack::on_cpu, is_cuda ? tensor.device_index() : 0},
                          static_cast<std::int32_t>(lent->shape.size()),
                          type_of(tensor.element()),
                          lent->shape.data(),
                          lent->strides.data(),
                          0};
    lent->record.context = lent;
    lent->record.deleter = [](Managed* record) { delete static_cast<Lent<Managed>*>(record->context); };
    return lent;
}

py::capsule to_dlpack(const Tensor& tensor, const py::object& stream, const py::object& max_version,
                      const py::object& dl_device, const py::object& copy) {
    if (!copy.is_none() && copy.cast<bool>()) throw py::buffer_error("a tensor leaves without a copy: pass copy=False");
    const bool is_cuda = tensor.device() == Device::cuda;
    const int type = is_cuda ? dlpack::on_cuda : dlpack::on_cpu;
    if (!dl_device.is_none() && dl_device.cast<std::pair<int, int>>().first != type) {
        throw py::buffer_error(std::string("a tensor stays on its device, ") + name_of(tensor.device()));
    }
    if (!is_cuda && !stream.is_none()) throw py::buffer_error("a tensor on cpu has no stream, got one");
    if (is_cuda) {
        const std::intptr_t number = stream.is_none() ? 1 : stream.cast<std::intptr_t>();
        if (number == 0 || number < -1) {
            throw py::buffer_error("stream must be -1, 1, 2 or a handle, got " + std::to_string(number));
        }
        // On the tensor's own stream the reader's work keeps its order with ours; on any other it may outlast the
        // tensor.
        if (number != number_of(*tensor.stream())) tensor.mark_shared();
        if (number != -1) order(*tensor.stream(), number, true);
    }
    const bool is_new = !max_version.is_none() && max_version.cast<std::pair<int, int>>().first >= 1;
    if (is_new) {
        auto* lent = lend<dlpack::ManagedVersioned>(tensor);
        lent->record.major = dlpack::major_version;
        lent->record.minor = 0;
        lent->record.flags = tensor.is_read_only() ? dlpack::read_only_flag : 0;
        return py::capsule(&lent->record, versioned_capsule, [](PyObject* capsule) {
            if (PyCapsule_IsValid(capsule, versioned_capsule) == 0) return;  // somebody took it
            auto* record = static_cast<dlpack::ManagedVersioned*>(PyCapsule_GetPointer(capsule, versioned_capsule));
            record->deleter(record);
        });
    }
    if (tensor.is_read_only()) {
        throw py::buffer_error("a read-only tensor leaves by DLPack 1.0 only: the reader must pass max_version=(1, 0)");
    }
    auto* lent = lend<dlpack::Managed>(tensor);
    return py::capsule(&lent->record, old_capsule, [](PyObject* capsule) {
        if (PyCapsule_IsValid(capsule, old_capsule) == 0) return;
        auto* record = static_cast<dlpack::Managed*>(PyCapsule_GetPointer(capsule, old_capsule));
        record->deleter(record);
    });
}

py::dict to_cuda_array(const Tensor& tensor) {
    if (tensor.device() != Device::cuda) {
        throw py::attribute_error("__cuda_array_interface__: this tensor is on cpu");
    }
    tensor.mark_shared();
    py::dict given;
    given["shape"] = py::tuple(py::cast(tensor.shape()));
    given["typestr"] = py::dtype(name_of(tensor.element())).attr("str");
    given["data"] = py::make_tuple(reinterpret_cast<std::uintptr_t>(tensor.memory()), tensor.is_read_only());
    given["version"] = 3;
    given["stream"] = number_of(*tensor.stream());
    if (tensor.is_packed()) {
        given["strides"] = py::none();
    } else {
        std::vector<std::int64_t> strides(tensor.shape().size());
        auto packed = static_cast<std::int64_t>(size_of(tensor.element()));
        for (std::size_t axis = strides.size(); axis-- > 0;) {
            strides[axis] = axis == 0 ? tensor.row_bytes() : packed;
            packed *= tensor.shape()[axis];
        }
        given["strides"] = py::tuple(py::cast(strides));
    }
    return given;
}

Tensor make_tensor(const Lengths& shape, const std::string& dtype, const SharedStream& stream, bool is_pooled) {
    if (stream == nullptr) throw py::type_error("stream must be a Stream of the tensor's device, got None");
    return Tensor(shape, element_named(dtype), stream, is_pooled);
}

// Throws unless the array is what the tensor is, value for value.
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

void copy_to(const Tensor& tensor, py::array array, const Stream& stream) {
    require_like(tensor, array);
    require_writeable(array, "array");
    void* to = array.mutable_data();
    const py::gil_scoped_release release;
    if (tensor.device() == Device::cuda && tensor.bytes() <= most_pinned) {
        MemoryPool& pool = memory_pool(MemoryKind::pinned);
        void* pinned = pool.take(tensor.bytes(), stream.handle());
        try {
            copy_bytes(pinned, Device::cpu, tensor.memory(), Device::cuda, tensor.bytes(), stream.handle());
            stream.synchronise();
        } catch (...) {
            pool.give_back(pinned, tensor.bytes(), stream.handle());
            throw;
        }
        std::memcpy(to, pinned, tensor.bytes());
        pool.give_back(pinned, tensor.bytes(), stream.handle());
        return;
    }
    copy_bytes(to, Device::cpu, tensor.memory(), tensor.device(), tensor.bytes(), stream.handle());
    stream.synchronise();
}

void copy_from(const Tensor& tensor, const py::array& array, const Stream& stream) {
    require_like(tensor, array);
    if (tensor.is_read_only()) throw py::value_error("a read-only tensor cannot be written to");
    const void* from = array.data();
    const py::gil_scoped_release release;
    copy_bytes(tensor.memory(), tensor.device(), from, Device::cpu, tensor.bytes(), stream.handle());
    stream.synchronise();
}

void require_device(const Tensor& tensor, const Stream& stream) {
    if (tensor.device() == stream.device()) return;
    throw py::value_error(std::string("the stream must be one of ") + name_of(tensor.device()) + ", got one of " +
                          name_of(stream.device()));
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

    py::class_<Tensor>(module, "Tensor")
        .def(py::init(&make_tensor), py::arg("shape"), py::arg("dtype"), py::arg("stream"), py::arg("pooled") = true)
        .def_static("borrow", &borrow, py::arg("array"), py::arg("stream"))
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
            [](const Tensor& tensor, const py::array& array, const Stream& stream) {
                require_device(tensor, stream);
                copy_to(tensor, array, stream);
            },
            py::arg("array"), py::arg("stream"))
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
