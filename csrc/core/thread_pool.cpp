#include "core/thread_pool.hpp"

#include <algorithm>

namespace pylfr {

ThreadPool::ThreadPool(std::size_t threads) : threads_(std::max<std::size_t>(1, threads)) {}

ThreadPool::~ThreadPool() {
    {
        const std::lock_guard lock(busy_);
        is_ending_ = true;
    }
    changed_.notify_all();
    for (std::thread& each : others_) each.join();
}

void ThreadPool::run(std::size_t parts, const std::function<void(std::size_t)>& work) {
    if (parts <= 1 || threads_ == 1) {
        for (std::size_t part = 0; part < parts; ++part) work(part);
        return;
    }
    if (others_.empty()) start();
    {
        const std::lock_guard lock(busy_);
        work_ = &work;
        parts_ = parts;
        next_ = 0;
        error_ = nullptr;
        working_ = others_.size();
        job_ += 1;
    }
    changed_.notify_all();
    take_parts();
    std::unique_lock lock(busy_);
    changed_.wait(lock, [this] { return working_ == 0; });
    work_ = nullptr;
    if (error_ != nullptr) std::rethrow_exception(error_);
}

void ThreadPool::start() {
    others_.reserve(threads_ - 1);
    for (std::size_t i = 1; i < threads_; ++i) others_.emplace_back([this] { serve(); });
}

void ThreadPool::serve() {
    std::size_t done = 0;
    std::unique_lock lock(busy_);
    while (true) {
        changed_.wait(lock, [&] { return is_ending_ || job_ != done; });
        if (is_ending_) return;
        done = job_;
        lock.unlock();
        take_parts();
        lock.lock();
        if (--working_ == 0) changed_.notify_all();
    }
}

void ThreadPool::take_parts() noexcept {
    for (std::size_t part = next_++; part < parts_; part = next_++) {
        try {
            (*work_)(part);
        } catch (...) {
            const std::lock_guard lock(busy_);
            if (error_ == nullptr) error_ = std::current_exception();
        }
    }
}

}  // namespace pylfr
