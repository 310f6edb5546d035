// DLPack, both ways: other libraries' managed tensors become tensors, tensors become managed tensors.
#include <utility>

#include "bindings/exchange.hpp"
#include "core/dlpack.hpp"

namespace pylfr {

namespace {

constexpr const char* old_capsule = "dltensor";
constexpr const char* versioned_capsule = "dltensor_versioned";
constexpr const char* used_old_capsule = "used_dltensor";
constexpr const char* used_versioned_capsule = "used_dltensor_versioned";

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

// What both kinds of managed tensor have in common, as a tensor.
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

// Gives a managed tensor back. Its producer may use the memory again at once, on a stream of its own: our work there
// is waited for.
template <class Managed>
struct LetGo {
    SharedStream stream;

    void operator()(void* held) const {
        if (stream != nullptr && PyGILState_Check() != 0) {
            const py::gil_scoped_release release;
            wait();
        } else if (stream != nullptr) {
            wait();
        }
        const py::gil_scoped_acquire acquire;
        auto* record = static_cast<Managed*>(held);
        if (record->deleter != nullptr) record->deleter(record);
    }

    void wait() const {
        try {
            stream->synchronise();
        } catch (...) {  // the context is gone or has failed: nothing is read there any more
        }
    }
};

}  // namespace

Tensor from_dlpack(const py::object& array, const SharedStream& stream) {
    const auto device = array.attr("__dlpack_device__")().cast<std::pair<int, int>>();
    const bool is_cuda = device.first == dlpack::on_cuda || device.first == dlpack::on_cuda_managed;
    require_home(is_cuda ? Device::cuda : Device::cpu, *stream);
    const py::object capsule = capsule_from(array, *stream);
    // From here the managed tensor is ours to delete: the capsule is renamed, as the protocol asks.
    if (PyCapsule_IsValid(capsule.ptr(), versioned_capsule) != 0) {
        auto* managed = static_cast<dlpack::ManagedVersioned*>(PyCapsule_GetPointer(capsule.ptr(), versioned_capsule));
        if (managed->major != dlpack::major_version) {
            throw py::buffer_error("DLPack " + std::to_string(managed->major) + " is not known here, only version 1");
        }
        PyCapsule_SetName(capsule.ptr(), used_versioned_capsule);
        const std::shared_ptr<void> owner(managed, LetGo<dlpack::ManagedVersioned>{is_cuda ? stream : nullptr});
        return tensor_of(managed->array, stream, owner, (managed->flags & dlpack::read_only_flag) != 0);
    }
    auto* managed = static_cast<dlpack::Managed*>(PyCapsule_GetPointer(capsule.ptr(), old_capsule));
    if (managed == nullptr) throw py::error_already_set();
    PyCapsule_SetName(capsule.ptr(), used_old_capsule);
    const std::shared_ptr<void> owner(managed, LetGo<dlpack::Managed>{is_cuda ? stream : nullptr});
    return tensor_of(managed->array, stream, owner, false);
}

namespace {

// What a managed tensor of ours keeps alive.
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

}  // namespace

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
            if (PyCapsule_IsValid(capsule, versioned_capsule) == 0) return;  // it was consumed
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

}  // namespace pylfr
