// An array on a device: it owns its memory, or borrows it and keeps the owner alive.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/device.hpp"
#include "core/stream.hpp"

namespace pylfr {

enum class Element { float32, float16, int8, uint8, int32, int64 };

std::size_t size_of(Element element);
const char* name_of(Element element);
Element element_named(const std::string& name);  // throws std::invalid_argument for any other
const char* name_of(Device device);

using Lengths = std::vector<std::int64_t>;

// "[2, 3]"
std::string text_of(const Lengths& shape);

// Memory out of the pool, or from the system where it is to be held for long (a watchlist): given back when nobody
// holds it any more, with the stream that its last work was queued on.
class Block {
 public:
    Block(std::size_t bytes, std::shared_ptr<Stream> stream, bool is_pooled);
    ~Block();
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;

    void* memory() const { return memory_; }

    // Another library may have queued work on streams that are not known here: the whole device is synchronised before
    // the memory is used again.
    void mark_shared() { is_shared_ = true; }

    // Whether giving the memory back waits for the device.
    bool may_wait() const { return stream_->device() == Device::cuda && (is_shared_ || !is_pooled_); }

 private:
    std::size_t bytes_;
    std::shared_ptr<Stream> stream_;
    bool is_pooled_;
    std::atomic<bool> is_shared_{false};
    void* memory_;
};

// Row-major; along the first axis rows may be padded, as in a decoder's picture.
class Tensor {
 public:
    // New memory, not initialised.
    Tensor(Lengths shape, Element element, std::shared_ptr<Stream> stream, bool is_pooled = true);

    // Somebody else's memory; `owner` keeps it alive, `row_bytes` lie from one row to the next.
    Tensor(void* memory, Lengths shape, std::int64_t row_bytes, Element element, std::shared_ptr<Stream> stream,
           std::shared_ptr<void> owner, bool is_read_only);

    const Lengths& shape() const { return shape_; }
    Element element() const { return element_; }
    Device device() const { return stream_->device(); }
    int device_index() const { return device_index_; }
    bool is_read_only() const { return is_read_only_; }
    const std::shared_ptr<Stream>& stream() const { return stream_; }
    void* memory() const { return memory_; }
    std::int64_t count() const;
    std::int64_t row_bytes() const { return row_bytes_; }
    bool is_packed() const { return count() == 0 || shape_.empty() || row_bytes_ == packed_row_bytes(); }
    std::size_t bytes() const { return static_cast<std::size_t>(count()) * size_of(element_); }

    // Views that keep this memory alive. Throw std::invalid_argument for what does not fit.
    Tensor rows(std::int64_t start, std::int64_t stop) const;
    Tensor reshaped(Lengths shape) const;
    Tensor seen_as(Lengths shape, Element element) const;  // the same bytes as other numbers

    // Call it before another library sees the memory: that may queue work on other streams.
    void mark_shared() const {
        if (block_ != nullptr) block_->mark_shared();
    }

    // Whether the end of this tensor waits for the device.
    bool may_wait() const { return block_ != nullptr && block_.use_count() == 1 && block_->may_wait(); }

    // Zeros, queued on `stream`; on the CPU done on return.
    void wipe(const Stream& stream) const;

 private:
    std::int64_t packed_row_bytes() const;
    void require_aligned() const;

    Lengths shape_;
    Element element_;
    std::int64_t row_bytes_ = 0;
    std::shared_ptr<Stream> stream_;
    std::shared_ptr<Block> block_;  // null where the memory is borrowed
    std::shared_ptr<void> owner_;   // null where it is not
    void* memory_;
    int device_index_ = 0;
    bool is_read_only_ = false;
};

}  // namespace pylfr
