// Arrays of other libraries as tensors, and tensors as theirs, without a copy; what DLPack and
// __cuda_array_interface__ have in common. Only bindings/ includes this.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "bindings/checks.hpp"
#include "core/tensor.hpp"

namespace pylfr {

using SharedStream = std::shared_ptr<Stream>;

// What `__cuda_array_interface__`, or the `__array_interface__` of an array on the host, says; `stream` is the one that
// made it, by its number.
struct ForeignArray {
    Device device;
    void* memory;
    bool is_read_only;
    Lengths shape;
    std::int64_t row_bytes;
    Element element;
    std::optional<std::intptr_t> stream;
};

// Throws TypeError for another kind of object or number, ValueError unless it is row-major (rows may be padded).
ForeignArray described(const py::object& array);

// Another library's CUDA stream, by its handle; `owner` is kept alive.
SharedStream borrowed_stream(std::intptr_t handle, const py::object& owner);

// The array's memory, its rows perhaps padded; what is queued on `stream` comes after what made it.
Tensor borrow(const py::object& array, const SharedStream& stream);
Tensor from_dlpack(const py::object& array, const SharedStream& stream);

// The same for arrays of one owner, such as the planes of a picture, with one event for all of them.
std::vector<Tensor> borrow_together(const std::vector<py::object>& arrays, const SharedStream& stream);

// What `__dlpack__` and `__cuda_array_interface__` give.
py::capsule to_dlpack(const Tensor& tensor, const py::object& stream, const py::object& max_version,
                      const py::object& dl_device, const py::object& copy);
py::dict to_cuda_array(const Tensor& tensor);

// How other libraries number streams: 1 is the legacy default stream, 2 the calling thread's, 0 is ambiguous.
std::intptr_t number_of(const Stream& stream);

// Orders work on another library's stream `number` before what is queued on `stream`, or after it, without blocking the
// host. 1 and 2 are CUDA's own handles for the two default streams.
void order(const Stream& stream, std::intptr_t number, bool ours_first);

// The bytes from one row to the next. Throws unless the axes after the first lie without gaps.
std::int64_t row_bytes_of(const Lengths& shape, const std::vector<std::int64_t>& stride_bytes, std::size_t item);

// Throws unless the memory lies where the stream works.
void require_home(Device found, const Stream& stream);

}  // namespace pylfr
