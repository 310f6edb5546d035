// The way from the host to a device: one asynchronous copy a batch, out of pinned memory that is used again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/stream.hpp"
#include "core/tensor.hpp"
#include "core/thread_pool.hpp"
#include "kernels/picture.hpp"

namespace pylfr {

// A few buffers in turn. One is written to again only when the copy out of it has ended, so that the host may prepare
// the next batch while the last one is on its way. One thread at a time.
class Staging {
 public:
    // Pictures are packed by so many threads, the caller among them; 0: by up to four, where there are as many cores.
    explicit Staging(std::shared_ptr<Stream> stream, std::size_t threads = 0);
    ~Staging();
    Staging(const Staging&) = delete;
    Staging& operator=(const Staging&) = delete;

    const std::shared_ptr<Stream>& stream() const { return stream_; }
    ThreadPool& packers() { return packers_; }

    // New memory on the device, uint8 [bytes]; `fill` writes what it is to hold and knows where it will lie.
    Tensor send(std::size_t bytes, const std::function<void(std::uint8_t* host, std::uint8_t* device)>& fill);

 private:
    struct Buffer {
        void* memory = nullptr;
        std::size_t bytes = 0;
        std::unique_ptr<Event> copied;
    };

    void give_back(Buffer& buffer) noexcept;

    std::shared_ptr<Stream> stream_;
    std::vector<Buffer> buffers_;
    std::size_t turn_ = 0;
    ThreadPool packers_;
};

// A picture of the host, or one whose planes lie on the device already; these are kept alive.
struct PictureSource {
    PictureView view;
    std::vector<Tensor> surfaces;
};

// The pictures of a batch where kernels see them. Memory that they borrow must not change until the stream has passed.
struct Pictures {
    std::vector<PictureView> views;  // as the device has them
    Tensor memory;                   // the views, and the planes that were uploaded
    std::vector<Tensor> surfaces;
    std::shared_ptr<Event> uploaded;
    std::shared_ptr<void> reading;  // when it goes, before the surfaces: their streams wait for what is queued here

    const PictureView* table() const { return static_cast<const PictureView*>(memory.memory()); }
};

// Around what a stream does with pictures: it waits for their upload, and whatever comes into their memory next waits
// for it. So uploading, finding and recognising may each have a stream of their own.
class ReadOn {
 public:
    ReadOn(const Pictures& pictures, const Stream& reader);
    ~ReadOn();
    ReadOn(const ReadOn&) = delete;
    ReadOn& operator=(const ReadOn&) = delete;

 private:
    const Stream& owner_;
    const Stream& reader_;
};

// All planes of all host pictures, with the table of views, in one copy.
Pictures upload(Staging& staging, std::span<const PictureSource> sources);

}  // namespace pylfr
