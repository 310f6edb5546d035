// A tensor's values on their way to the host, so that the caller can do other work meanwhile.
#pragma once

#include <memory>

#include "core/stream.hpp"
#include "core/tensor.hpp"

namespace pylfr {

// Queues one copy into pinned memory. Only reading the values waits, for that copy and nothing queued later.
class Readback {
 public:
    // The tensor's rows must be packed.
    Readback(const Tensor& tensor, std::shared_ptr<Stream> stream);

    // Waits, so that the pool may reuse the memory, and wipes it: it holds measurements of faces.
    ~Readback();
    Readback(const Readback&) = delete;
    Readback& operator=(const Readback&) = delete;

    const Tensor& tensor() const { return tensor_; }

    // Whether the copy was made.
    bool is_done() const;

    // Waits for the copy. May be called more than once.
    void into(void* to) const;

 private:
    Tensor tensor_;
    std::shared_ptr<Stream> stream_;
    void* memory_;
    std::unique_ptr<Event> copied_;
};

}  // namespace pylfr
