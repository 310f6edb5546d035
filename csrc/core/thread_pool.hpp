// A few threads that share one job at a time with the thread that has it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace pylfr {

// Threads start with the first job of several parts, and end with the pool. One caller at a time.
class ThreadPool {
 public:
    // `threads` in all, the caller among them.
    explicit ThreadPool(std::size_t threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    std::size_t threads() const { return threads_; }

    // work(0) to work(parts - 1), each once; whoever is free takes the next. Returns when all have ended, and throws
    // the first error of any.
    void run(std::size_t parts, const std::function<void(std::size_t)>& work);

 private:
    void start();
    void serve();
    void take_parts() noexcept;

    const std::size_t threads_;
    std::vector<std::thread> others_;
    std::mutex busy_;
    std::condition_variable changed_;
    std::size_t job_ = 0;      // counts jobs, so that no thread does one twice
    std::size_t working_ = 0;  // of the pool's own threads
    bool is_ending_ = false;
    std::exception_ptr error_;
    const std::function<void(std::size_t)>* work_ = nullptr;
    std::size_t parts_ = 0;
    std::atomic<std::size_t> next_{0};
};

}  // namespace pylfr
