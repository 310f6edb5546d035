#include "core/read_watch.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <thread>
#include <utility>
#include <vector>

namespace pylfr {

namespace {

// FFmpeg itself asks every tenth of a second: so late a read may end at most, and half of this more.
constexpr std::chrono::milliseconds pause{50};

}  // namespace

// The thread, for as long as there is anything to watch.
class ReadWatch {
 public:
    // That of this process: a fork takes over what it was, and no thread.
    static std::shared_ptr<ReadWatch> shared() {
        // Never destroyed: cameras may be read until the process is gone.
        static auto* const mutex = new std::mutex;
        static auto* const current = new std::weak_ptr<ReadWatch>;
        const std::lock_guard guard(*mutex);
        std::shared_ptr<ReadWatch> watch = current->lock();
        if (watch == nullptr || watch->process_ != ::getpid()) *current = watch = std::make_shared<ReadWatch>();
        return watch;
    }

    ReadWatch() : process_(::getpid()), thread_([this] { watch(); }) {}

    ~ReadWatch() {
        if (process_ != ::getpid()) {
            // The thread is the other process's.
            thread_.detach();
            return;
        }
        {
            const std::lock_guard guard(mutex_);
            is_over_ = true;
        }
        changed_.notify_one();
        thread_.join();
    }

    void add(WatchedReads* reads) {
        const std::lock_guard guard(mutex_);
        watched_.push_back(reads);
    }

    void remove(WatchedReads* reads) noexcept {
        if (process_ != ::getpid()) return;
        const std::lock_guard guard(mutex_);
        watched_.erase(std::remove(watched_.begin(), watched_.end(), reads), watched_.end());
    }

 private:
    void watch() {
        std::unique_lock guard(mutex_);
        while (!is_over_) {
            changed_.wait_for(guard, pause);
            const double now_s = monotonic_s();
            for (WatchedReads* reads : watched_) reads->check(now_s);
        }
    }

    const ::pid_t process_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool is_over_ = false;
    std::vector<WatchedReads*> watched_;
    // Last: it uses all of the above.
    std::thread thread_;
};

WatchedReads::WatchedReads(PyavDeadline* deadline, std::shared_ptr<Interruption> interruption)
    : deadline_(deadline),
      timeout_s_(deadline->timeout_s),
      interruption_(std::move(interruption)),
      watch_(ReadWatch::shared()) {
    watch_->add(this);
}

WatchedReads::~WatchedReads() {
    watch_->remove(this);
}

void WatchedReads::begin() noexcept {
    go_on();
    const std::lock_guard guard(mutex_);
    is_reading_ = true;
    set_timeout(-1);
}

void WatchedReads::end() noexcept {
    const std::lock_guard guard(mutex_);
    is_reading_ = false;
    set_timeout(timeout_s_);
}

void WatchedReads::check(double now_s) noexcept {
    const std::lock_guard guard(mutex_);
    if (!is_reading_) return;
    const bool is_interrupted = interruption_ != nullptr && interruption_->is_over();
    if (is_interrupted || now_s > since_s_.load(std::memory_order_relaxed) + timeout_s_) set_timeout(0);
}

// FFmpeg's thread reads it through PyAV at any time.
void WatchedReads::set_timeout(double timeout_s) noexcept {
    __atomic_store(&deadline_->timeout_s, &timeout_s, __ATOMIC_RELEASE);
}

}  // namespace pylfr
