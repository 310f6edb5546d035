#include "core/memory.hpp"

#include <algorithm>
#include <bit>
#include <new>
#include <string>

#include "core/device.hpp"

namespace pylfr {

namespace {

constexpr std::size_t smallest_bucket = 512;
constexpr std::size_t alignment = 256;

// Stands for any stream, in blocks that no queued work touches any more. No stream has this address.
int retired_mark = 0;
void* const nobody = &retired_mark;

void* allocate(MemoryKind kind, std::size_t bytes) {
    switch (kind) {
        case MemoryKind::device:
            return cuda::allocate(bytes);
        case MemoryKind::pinned:
            return cuda::allocate_pinned(bytes);
        case MemoryKind::plain:
            return ::operator new(bytes, std::align_val_t{alignment}, std::nothrow);
    }
    return nullptr;
}

void release(MemoryKind kind, void* memory) noexcept {
    switch (kind) {
        case MemoryKind::device:
            return cuda::release(memory);
        case MemoryKind::pinned:
            return cuda::release_pinned(memory);
        case MemoryKind::plain:
            return ::operator delete(memory, std::align_val_t{alignment});
    }
}

}  // namespace

std::size_t MemoryPool::bucket(std::size_t bytes) {
    const std::size_t step = std::max(smallest_bucket, std::bit_floor(std::max<std::size_t>(bytes, 1)) / 8);
    return std::max<std::size_t>(1, (bytes + step - 1) / step) * step;
}

void* MemoryPool::take(std::size_t bytes, void* stream) {
    const std::size_t size = bucket(bytes);
    const std::lock_guard lock(busy_);
    void* memory = nullptr;
    for (void* owner : {stream, nobody}) {
        const auto found = waiting_.find({owner, size});
        if (found == waiting_.end() || found->second.empty()) continue;
        memory = found->second.back();
        found->second.pop_back();
        break;
    }
    if (memory == nullptr) memory = ask_system(size);
    counts_.loans += 1;
    counts_.lent_bytes += static_cast<std::int64_t>(size);
    return memory;
}

void* MemoryPool::ask_system(std::size_t size) {
    void* memory = allocate(kind_, size);
    if (memory == nullptr) {
        if (kind_ != MemoryKind::plain) cuda::synchronise_all();
        clear_locked();
        memory = allocate(kind_, size);
    }
    if (memory == nullptr && kind_ == MemoryKind::plain) throw std::bad_alloc();
    if (memory == nullptr) {
        throw CudaError(std::string("no room for ") + std::to_string(size) + " bytes of " +
                        (kind_ == MemoryKind::device ? "device" : "pinned") + " memory: pylfr lends " +
                        std::to_string(counts_.lent_bytes) + " now; take smaller batches or a smaller watchlist");
    }
    counts_.allocations += 1;
    counts_.held_bytes += static_cast<std::int64_t>(size);
    counts_.high_water_bytes = std::max(counts_.high_water_bytes, counts_.held_bytes);
    return memory;
}

void MemoryPool::give_back(void* memory, std::size_t bytes, void* stream) noexcept {
    const std::size_t size = bucket(bytes);
    const std::lock_guard lock(busy_);
    counts_.lent_bytes -= static_cast<std::int64_t>(size);
    try {
        waiting_[{stream, size}].push_back(memory);
    } catch (...) {  // no room to remember it
        release(kind_, memory);
        counts_.held_bytes -= static_cast<std::int64_t>(size);
    }
}

void MemoryPool::retire(void* stream) noexcept {
    const std::lock_guard lock(busy_);
    for (auto& [key, blocks] : waiting_) {
        if (key.first != stream || blocks.empty()) continue;
        try {
            std::vector<void*>& free = waiting_[{nobody, key.second}];
            free.insert(free.end(), blocks.begin(), blocks.end());
        } catch (...) {
            for (void* memory : blocks) release(kind_, memory);
            counts_.held_bytes -= static_cast<std::int64_t>(key.second * blocks.size());
        }
        blocks.clear();
    }
}

void MemoryPool::clear() noexcept {
    const std::lock_guard lock(busy_);
    clear_locked();
}

void MemoryPool::clear_locked() noexcept {
    for (auto& [key, blocks] : waiting_) {
        for (void* memory : blocks) release(kind_, memory);
        counts_.held_bytes -= static_cast<std::int64_t>(key.second * blocks.size());
    }
    waiting_.clear();
}

MemoryCounts MemoryPool::counts() const {
    const std::lock_guard lock(busy_);
    return counts_;
}

MemoryPool& memory_pool(MemoryKind kind) {
    static MemoryPool* const plain = new MemoryPool(MemoryKind::plain);
    static MemoryPool* const device = new MemoryPool(MemoryKind::device);
    static MemoryPool* const pinned = new MemoryPool(MemoryKind::pinned);
    return kind == MemoryKind::plain ? *plain : kind == MemoryKind::device ? *device : *pinned;
}

}  // namespace pylfr
