// Pools of memory that is reused from batch to batch: after the first batches nothing is allocated.
//
// Not cudaMallocAsync: the same bookkeeping serves device, pinned and plain memory, is tested without a GPU, counts
// what is held, and does not depend on the driver's pools, which some virtual GPUs lack. The driver's advantage, moving
// free memory between streams, is not needed: an engine has few streams.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace pylfr {

enum class MemoryKind { plain, device, pinned };

struct MemoryCounts {
    std::int64_t held_bytes = 0;        // allocated: in use or free
    std::int64_t lent_bytes = 0;        // in use now
    std::int64_t high_water_bytes = 0;  // the largest held_bytes so far
    std::int64_t allocations = 0;       // calls of the system's allocator
    std::int64_t loans = 0;             // calls of take()
};

// Free blocks by size and stream. A block is reused on its own stream only, whose order keeps the old user's work
// before the new one's, so no synchronisation is needed.
class MemoryPool {
 public:
    explicit MemoryPool(MemoryKind kind) : kind_(kind) {}

    // At least `bytes`, aligned to 256. Throws CudaError or std::bad_alloc where there is no room even after all free
    // blocks were released.
    void* take(std::size_t bytes, void* stream);
    void give_back(void* memory, std::size_t bytes, void* stream) noexcept;

    // The stream's work has ended: its free blocks may be used on any stream.
    void retire(void* stream) noexcept;

    // Releases all free blocks to the system. No work may be queued on them.
    void clear() noexcept;

    MemoryCounts counts() const;

    // The size of the block for `bytes`: at most an eighth more, so that batches of similar size share blocks.
    static std::size_t bucket(std::size_t bytes);

 private:
    void* ask_system(std::size_t bytes);
    void clear_locked() noexcept;

    MemoryKind kind_;
    mutable std::mutex busy_;
    std::map<std::pair<void*, std::size_t>, std::vector<void*>> waiting_;
    MemoryCounts counts_;
};

// One per process and kind. Never destroyed: at exit the driver may already be gone.
MemoryPool& memory_pool(MemoryKind kind);

}  // namespace pylfr
