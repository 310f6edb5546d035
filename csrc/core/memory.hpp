// Memory that is kept for the next batch instead of being given back: after the first batches nothing is allocated.
//
// Own buckets rather than cudaMallocAsync: the same bookkeeping serves device, pinned and plain memory and is tested
// without a GPU, it counts what is held, and it does not depend on the driver's pools, which some virtual GPUs lack.
// What the driver does better, moving free memory between streams, is not needed: an engine has few streams.
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
    std::int64_t held_bytes = 0;        // taken from the system: lent or waiting
    std::int64_t lent_bytes = 0;        // of these, in use now
    std::int64_t high_water_bytes = 0;  // the most that was ever held
    std::int64_t allocations = 0;       // how often the system was asked
    std::int64_t loans = 0;             // how often anybody asked the pool
};

// Blocks by size and by the stream whose work was queued on them. A block goes back to its own stream only, where the
// order of the stream keeps the old user's work before the new one's; no synchronisation is needed.
class MemoryPool {
 public:
    explicit MemoryPool(MemoryKind kind) : kind_(kind) {}

    // At least `bytes`, aligned to 256. Throws CudaError or std::bad_alloc where there is no room even after everything
    // that waits was given back.
    void* take(std::size_t bytes, void* stream);
    void give_back(void* memory, std::size_t bytes, void* stream) noexcept;

    // The stream's work has ended: whoever comes next may have its blocks.
    void retire(void* stream) noexcept;

    // Gives everything that waits back to the system. The caller has seen to it that no work is queued on it.
    void clear() noexcept;

    MemoryCounts counts() const;

    // What is really taken for `bytes`: at most an eighth more, so that batches of nearly one size share blocks.
    static std::size_t bucket(std::size_t bytes);

 private:
    void* ask_system(std::size_t bytes);
    void clear_locked() noexcept;

    MemoryKind kind_;
    mutable std::mutex busy_;
    std::map<std::pair<void*, std::size_t>, std::vector<void*>> waiting_;
    MemoryCounts counts_;
};

// One a process and kind. Never destroyed: at exit the driver may be gone before us.
MemoryPool& memory_pool(MemoryKind kind);

}  // namespace pylfr
