// From the host to a device: one asynchronous copy per batch, from pinned memory that is reused.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "core/stream.hpp"
#include "core/tensor.hpp"
#include "core/thread_pool.hpp"
#include "kernels/picture.hpp"

namespace pylfr {

// A ring of pinned buffers. A buffer is written again only after the copy from it has ended, so the host prepares the
// next batch while the last one is being copied. For one thread at a time: a
// second one is an error.
class Staging {
 public:
    // Pictures are packed by this many threads, including the caller's; 0: up to four, one per core.
    explicit Staging(std::shared_ptr<Stream> stream, std::size_t threads = 0);
    ~Staging();
    Staging(const Staging&) = delete;
    Staging& operator=(const Staging&) = delete;

    const std::shared_ptr<Stream>& stream() const { return stream_; }
    ThreadPool& packers() { return packers_; }

    // New memory on the device, uint8 [bytes]; `fill` writes its content on the host, given its address on the device.
    // Throws std::runtime_error while another thread does the same.
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
    std::atomic_flag is_in_use_;
    ThreadPool packers_;
};

// A picture on the host, or one whose planes are on the device already; those are kept alive.
struct PictureSource {
    PictureView view;
    std::vector<Tensor> surfaces;
};

// The last reads of pictures whose planes belong to others. When it is destroyed, the owners' streams wait for
// these reads, and for nothing queued after them.
class LastReads {
 public:
    explicit LastReads(std::vector<std::shared_ptr<Stream>> lenders) : lenders_(std::move(lenders)) {}
    ~LastReads();
    LastReads(const LastReads&) = delete;
    LastReads& operator=(const LastReads&) = delete;

    // Replaces the last read on a reader's stream.
    void note(void* reader, std::shared_ptr<Event> read);

 private:
    std::vector<std::shared_ptr<Stream>> lenders_;
    std::mutex busy_;
    std::map<void*, std::shared_ptr<Event>> reads_;  // by the reader's stream
};

// The pictures of a batch as kernels see them. Borrowed memory must not change until the stream has read it.
struct Pictures {
    std::vector<PictureView> views;  // as the device has them
    Tensor memory;                   // the views, and the planes that were uploaded
    std::vector<Tensor> surfaces;
    std::shared_ptr<Event> uploaded;
    std::shared_ptr<LastReads> last_reads;  // ends before the surfaces; null without surfaces of others

    const PictureView* table() const { return static_cast<const PictureView*>(memory.memory()); }
};

// Brackets the work of a stream that reads pictures: it waits for their upload, and whatever is written to their memory
// next waits for it. So uploading, finding and recognising can each have a stream of their own.
class ReadOn {
 public:
    ReadOn(const Pictures& pictures, const Stream& reader);
    ~ReadOn();
    ReadOn(const ReadOn&) = delete;
    ReadOn& operator=(const ReadOn&) = delete;

 private:
    const Pictures& pictures_;
    const Stream& owner_;
    const Stream& reader_;
};

// All planes of all host pictures, with the table of views, in one copy.
Pictures upload(Staging& staging, std::span<const PictureSource> sources);

}  // namespace pylfr
