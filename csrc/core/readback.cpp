#include "core/readback.hpp"

#include <cstring>
#include <utility>

#include "core/memory.hpp"

namespace pylfr {

namespace {

MemoryPool& pool_for(const Stream& stream) {
    return memory_pool(stream.device() == Device::cuda ? MemoryKind::pinned : MemoryKind::plain);
}

}  // namespace

Readback::Readback(const Tensor& tensor, std::shared_ptr<Stream> stream)
    : tensor_(tensor), stream_(std::move(stream)), memory_(pool_for(*stream_).take(tensor.bytes(), stream_->handle())) {
    try {
        copy_bytes(memory_, Device::cpu, tensor.memory(), tensor.device(), tensor.bytes(), stream_->handle());
        copied_ = std::make_unique<Event>(*stream_, false);
    } catch (...) {  // the device has failed: it writes no more
        pool_for(*stream_).give_back(memory_, tensor.bytes(), stream_->handle());
        throw;
    }
}

Readback::~Readback() {
    try {
        copied_->synchronise();
    } catch (...) {  // the device has failed: it writes no more
    }
    std::memset(memory_, 0, tensor_.bytes());
    pool_for(*stream_).give_back(memory_, tensor_.bytes(), stream_->handle());
}

bool Readback::is_done() const {
    return copied_->is_done();
}

void Readback::into(void* to) const {
    copied_->synchronise();
    std::memcpy(to, memory_, tensor_.bytes());
}

}  // namespace pylfr
