#include "bindings/exchange.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace pylfr {

namespace {

// A Python object as an owner: released under the GIL, from whatever thread.
std::shared_ptr<void> kept_alive(const py::object& object) {
    if (object.is_none()) return nullptr;
    return {object.inc_ref().ptr(), [](void* held) {
                const py::gil_scoped_acquire acquire;
                Py_DECREF(static_cast<PyObject*>(held));
            }};
}

// Memory of others for as long as it is borrowed. What they have queued on stream `number` comes before our work, and
// what they queue there once the loan has ended comes after it: a decoder writes its next picture into the same memory.
// One event serves both turns, and all that is borrowed together.
class Loan {
 public:
    Loan(std::vector<std::shared_ptr<void>> owners, SharedStream stream, std::intptr_t number)
        : owners_(std::move(owners)), stream_(std::move(stream)), theirs_(reinterpret_cast<void*>(number)) {
        if (theirs_ == stream_->handle()) return;
        event_.reset(cuda::make_event(false));
        cuda::record(event_.get(), theirs_);
        cuda::wait(stream_->handle(), event_.get());
    }

    ~Loan() {
        if (event_ == nullptr) return;
        try {
            cuda::record(event_.get(), stream_->handle());
            cuda::wait(theirs_, event_.get());
        } catch (...) {  // the context is gone or has failed: nothing is read there any more
        }
    }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;

 private:
    std::vector<std::shared_ptr<void>> owners_;  // released at the end, in order
    SharedStream stream_;
    void* theirs_;
    std::unique_ptr<void, void (*)(void*)> event_{nullptr, &cuda::destroy_event};
};

// numba's `__cuda_array_interface__`, versions 0 to 3: what pycuda gives.
std::vector<Tensor> from_cuda_arrays(const std::vector<py::object>& arrays, const SharedStream& stream) {
    std::vector<ForeignArray> given;
    std::vector<std::shared_ptr<void>> owners;
    for (const py::object& array : arrays) {
        given.push_back(described(array));
        if (given.back().stream != given.front().stream) {
            throw py::value_error("arrays that are borrowed together must be of one stream: borrow them one by one");
        }
        require_home(Device::cuda, *stream);
        owners.push_back(kept_alive(array));
    }
    std::shared_ptr<Loan> loan;
    if (!given.empty() && given.front().stream) {
        loan = std::make_shared<Loan>(owners, stream, *given.front().stream);
    }
    std::vector<Tensor> tensors;
    for (std::size_t i = 0; i < given.size(); ++i) {
        const ForeignArray& own = given[i];
        const std::shared_ptr<void> owner = loan == nullptr ? owners[i] : std::shared_ptr<void>(loan);
        tensors.emplace_back(own.memory, own.shape, own.row_bytes, own.element, stream, owner, own.is_read_only);
    }
    return tensors;
}

bool is_cuda_array_alone(const py::object& array) {
    return !py::hasattr(array, "__dlpack__") && py::hasattr(array, "__cuda_array_interface__");
}

}  // namespace

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

void order(const Stream& stream, std::intptr_t number, bool ours_first) {
    void* theirs = reinterpret_cast<void*>(number);
    void* first = ours_first ? stream.handle() : theirs;
    void* second = ours_first ? theirs : stream.handle();
    if (first == second) return;
    const std::unique_ptr<void, void (*)(void*)> event(cuda::make_event(false), &cuda::destroy_event);
    cuda::record(event.get(), first);
    cuda::wait(second, event.get());
}

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

ForeignArray described(const py::object& array) {
    const bool is_cuda = py::hasattr(array, "__cuda_array_interface__");
    if (!is_cuda && !py::hasattr(array, "__array_interface__")) {
        throw py::type_error("an array must have __cuda_array_interface__ or __array_interface__, got " +
                             std::string(py::str(py::type::handle_of(array).attr("__name__"))));
    }
    const py::dict given = array.attr(is_cuda ? "__cuda_array_interface__" : "__array_interface__");
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
    std::optional<std::intptr_t> stream;
    if (given.contains("stream") && !given["stream"].is_none()) stream = given["stream"].cast<std::intptr_t>();
    return {is_cuda ? Device::cuda : Device::cpu,
            reinterpret_cast<void*>(memory.first),
            memory.second,
            shape,
            row_bytes,
            element,
            stream};
}

void require_home(Device found, const Stream& stream) {
    if (found == stream.device()) return;
    throw py::value_error(std::string("an array on ") + name_of(found) + " needs a stream of that device, got one of " +
                          name_of(stream.device()) + ": nothing is copied in silence");
}

Tensor borrow(const py::object& array, const SharedStream& stream) {
    if (stream == nullptr) throw py::type_error("stream must be a Stream of the array's device, got None");
    if (py::hasattr(array, "__dlpack__")) return from_dlpack(array, stream);
    if (py::hasattr(array, "__cuda_array_interface__")) return from_cuda_arrays({array}, stream).front();
    throw py::type_error("an array must have __dlpack__ or __cuda_array_interface__, got " +
                         std::string(py::str(py::type::handle_of(array).attr("__name__"))));
}

std::vector<Tensor> borrow_together(const std::vector<py::object>& arrays, const SharedStream& stream) {
    if (stream != nullptr && std::all_of(arrays.begin(), arrays.end(), &is_cuda_array_alone)) {
        return from_cuda_arrays(arrays, stream);
    }
    std::vector<Tensor> tensors;
    for (const py::object& array : arrays) tensors.push_back(borrow(array, stream));
    return tensors;
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

}  // namespace pylfr
