#include "core/tensor.hpp"

#include <algorithm>
#include <limits>
#include <new>
#include <stdexcept>
#include <utility>

#include "core/memory.hpp"

namespace pylfr {

namespace {

std::int64_t product(const Lengths& shape) {
    std::int64_t count = 1;
    bool is_empty = false;
    for (const std::int64_t length : shape) {
        if (length < 0) throw std::invalid_argument("lengths must be 0 or more, got " + text_of(shape));
        is_empty = is_empty || length == 0;
        // Also of an empty tensor: the bytes of a row are computed from the other lengths.
        const std::int64_t least = std::max<std::int64_t>(length, 1);
        if (count > (std::int64_t{1} << 48) / least) {
            throw std::invalid_argument("a tensor must have at most 2^48 numbers, got " + text_of(shape));
        }
        count *= least;
    }
    return is_empty ? 0 : count;
}

MemoryKind kind_of(Device device) {
    return device == Device::cuda ? MemoryKind::device : MemoryKind::plain;
}

}  // namespace

std::size_t size_of(Element element) {
    switch (element) {
        case Element::int64:
            return 8;
        case Element::float32:
        case Element::int32:
            return 4;
        case Element::float16:
            return 2;
        case Element::int8:
        case Element::uint8:
            return 1;
    }
    return 0;
}

const char* name_of(Element element) {
    switch (element) {
        case Element::float32:
            return "float32";
        case Element::float16:
            return "float16";
        case Element::int8:
            return "int8";
        case Element::uint8:
            return "uint8";
        case Element::int32:
            return "int32";
        case Element::int64:
            return "int64";
    }
    return "";
}

Element element_named(const std::string& name) {
    for (const Element element :
         {Element::float32, Element::float16, Element::int8, Element::uint8, Element::int32, Element::int64}) {
        if (name == name_of(element)) return element;
    }
    throw std::invalid_argument("dtype must be float32, float16, int8, uint8, int32 or int64, got '" + name + "'");
}

const char* name_of(Device device) {
    return device == Device::cuda ? "cuda" : "cpu";
}

std::string text_of(const Lengths& shape) {
    std::string text = "[";
    for (std::size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

Block::Block(std::size_t bytes, std::shared_ptr<Stream> stream, bool is_pooled)
    : bytes_(bytes), stream_(std::move(stream)), is_pooled_(is_pooled) {
    const Device device = stream_->device();
    if (is_pooled_) {
        memory_ = memory_pool(kind_of(device)).take(bytes_, stream_->handle());
        return;
    }
    memory_ = device == Device::cuda ? cuda::allocate(bytes_ == 0 ? 1 : bytes_)
                                     : ::operator new(bytes_, std::align_val_t{256}, std::nothrow);
    if (memory_ == nullptr && device == Device::cpu) throw std::bad_alloc();
    if (memory_ == nullptr) {
        throw CudaError("no room for " + std::to_string(bytes_) +
                        " bytes of device memory: a smaller watchlist, or "
                        "int8 for float32, takes less");
    }
}

Block::~Block() {
    const bool is_cuda = stream_->device() == Device::cuda;
    if (is_cuda && is_shared_) cuda::synchronise_all();
    if (is_pooled_) {
        memory_pool(kind_of(stream_->device())).give_back(memory_, bytes_, stream_->handle());
    } else if (is_cuda) {
        cuda::release(memory_);  // waits for the device's work by itself
    } else {
        ::operator delete(memory_, std::align_val_t{256});
    }
}

Tensor::Tensor(Lengths shape, Element element, std::shared_ptr<Stream> stream, bool is_pooled)
    : shape_(std::move(shape)), element_(element), stream_(std::move(stream)) {
    block_ = std::make_shared<Block>(static_cast<std::size_t>(product(shape_)) * size_of(element_), stream_, is_pooled);
    memory_ = block_->memory();
    row_bytes_ = packed_row_bytes();
    if (device() == Device::cuda) device_index_ = cuda::current_device();
}

Tensor::Tensor(void* memory, Lengths shape, std::int64_t row_bytes, Element element, std::shared_ptr<Stream> stream,
               std::shared_ptr<void> owner, bool is_read_only)
    : shape_(std::move(shape)),
      element_(element),
      row_bytes_(row_bytes),
      stream_(std::move(stream)),
      owner_(std::move(owner)),
      memory_(memory),
      is_read_only_(is_read_only) {
    require_aligned();
    if (device() == Device::cuda) device_index_ = cuda::current_device();
}

std::int64_t Tensor::count() const {
    return product(shape_);
}

std::int64_t Tensor::packed_row_bytes() const {
    std::int64_t bytes = static_cast<std::int64_t>(size_of(element_));
    for (std::size_t axis = 1; axis < shape_.size(); ++axis) bytes *= shape_[axis];
    return bytes;
}

Tensor Tensor::rows(std::int64_t start, std::int64_t stop) const {
    if (shape_.empty() || start < 0 || stop < start || stop > shape_[0]) {
        throw std::invalid_argument("rows must lie in a tensor " + text_of(shape_) + ", got " + std::to_string(start) +
                                    " to " + std::to_string(stop));
    }
    Tensor view = *this;
    view.memory_ = static_cast<std::uint8_t*>(memory_) + row_bytes_ * start;
    view.shape_[0] = stop - start;
    return view;
}

Tensor Tensor::reshaped(Lengths shape) const {
    if (product(shape) != count() || !is_packed()) {
        throw std::invalid_argument("a tensor " + text_of(shape_) + " cannot be seen as " + text_of(shape));
    }
    Tensor view = *this;
    view.shape_ = std::move(shape);
    view.row_bytes_ = view.packed_row_bytes();
    return view;
}

Tensor Tensor::seen_as(Lengths shape, Element element) const {
    if (!is_packed() ||
        product(shape) * static_cast<std::int64_t>(size_of(element)) != static_cast<std::int64_t>(bytes())) {
        throw std::invalid_argument("a tensor " + text_of(shape_) + " cannot be seen as " + text_of(shape));
    }
    Tensor view = *this;
    view.shape_ = std::move(shape);
    view.element_ = element;
    view.row_bytes_ = view.packed_row_bytes();
    view.require_aligned();
    return view;
}

// Reading a misaligned number is undefined behaviour.
void Tensor::require_aligned() const {
    const auto item = static_cast<std::int64_t>(size_of(element_));
    if (product(shape_) == 0) return;
    if (reinterpret_cast<std::uintptr_t>(memory_) % static_cast<std::uintptr_t>(item) == 0 && row_bytes_ % item == 0) {
        return;
    }
    throw std::invalid_argument(std::string("rows of ") + name_of(element_) + " must begin at a multiple of " +
                                std::to_string(item) + " bytes, got a misaligned view: pass a copy of it");
}

void Tensor::wipe(const Stream& stream) const {
    if (is_read_only_) throw std::invalid_argument("a read-only tensor cannot be wiped: whoever lent it must");
    if (!is_packed()) throw std::invalid_argument("a tensor with padded rows cannot be wiped");
    zero_bytes(memory_, device(), bytes(), stream.handle());
}

}  // namespace pylfr
