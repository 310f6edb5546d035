// A tensor's numbers on their way to the host, for somebody who has other things to do meanwhile.
#pragma once

#include <memory>

#include "core/stream.hpp"
#include "core/tensor.hpp"

namespace pylfr {

// Queues one copy into pinned memory; only who asks for the numbers waits, for that copy and nothing queued later.
class Readback {
 public:
    // The tensor's rows must be packed.
    Readback(const Tensor& tensor, std::shared_ptr<Stream> stream);

    // Waits, so that the pool may lend the memory to anybody; wiped, for it holds what was seen of faces.
    ~Readback();
    Readback(const Readback&) = delete;
    Readback& operator=(const Readback&) = delete;

    const Tensor& tensor() const { return tensor_; }

    // Waits for the copy. May be called more than once.
    void into(void* to) const;

 private:
    Tensor tensor_;
    std::shared_ptr<Stream> stream_;
    void* memory_;
    std::unique_ptr<Event> copied_;
};

}  // namespace pylfr
