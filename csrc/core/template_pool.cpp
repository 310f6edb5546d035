#include "core/template_pool.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace pylfr {

TemplatePool::TemplatePool(std::int64_t rows, std::int64_t dimension) : rows_(rows), dimension_(dimension) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t wanted = static_cast<std::size_t>(rows) * static_cast<std::size_t>(dimension) * sizeof(float);
    bytes_ = std::max<std::size_t>(1, (wanted + page - 1) / page) * page;
    pages_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages_ == MAP_FAILED) throw std::bad_alloc();
    is_locked_ = ::mlock(pages_, bytes_) == 0;
    // Best effort: a kernel that knows neither still gives memory that is wiped.
#ifdef MADV_DONTDUMP
    static_cast<void>(::madvise(pages_, bytes_, MADV_DONTDUMP));
#endif
#ifdef MADV_WIPEONFORK
    static_cast<void>(::madvise(pages_, bytes_, MADV_WIPEONFORK));
#endif
}

TemplatePool::~TemplatePool() {
    wipe();
    ::munmap(pages_, bytes_);  // unlocks as well
}

void TemplatePool::wipe() {
    std::memset(pages_, 0, bytes_);
    // Tells the compiler that these zeros are read, so that it cannot optimise them away.
    __asm__ __volatile__("" : : "r"(pages_) : "memory");
}

}  // namespace pylfr
