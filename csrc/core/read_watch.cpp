#include "core/read_watch.hpp"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "core/monotonic.hpp"

namespace pylfr {

namespace {

// FFmpeg asks ten times a second, so that a read may end a tenth of a second late; this adds half as much at most.
constexpr std::chrono::milliseconds pause{50};

// All reads of this process. Its thread runs while there are any.
class ReadWatch {
 public:
    // Never destroyed: cameras may be read until the process is gone.
    static ReadWatch& shared() {
        static auto* const watch = new ReadWatch;
        return *watch;
    }

    void add(WatchedReads* reads) {
        const std::lock_guard guard(mutex_);
        if (!is_running_) {
            std::thread([this] { watch(); }).detach();
            is_running_ = true;
        }
        watched_.push_back(reads);
    }

    void remove(WatchedReads* reads) noexcept {
        const std::lock_guard guard(mutex_);
        watched_.erase(std::remove(watched_.begin(), watched_.end(), reads), watched_.end());
    }

 private:
    ReadWatch() {
        // A fork takes over neither the thread nor the cameras.
        ::pthread_atfork([] { shared().mutex_.lock(); }, [] { shared().mutex_.unlock(); }, [] { shared().forget(); });
    }

    void forget() noexcept {
        watched_.clear();
        is_running_ = false;
        mutex_.unlock();
    }

    void watch() {
        for (;;) {
            // Not by a clock that somebody may set.
            std::this_thread::sleep_for(pause);
            const std::lock_guard guard(mutex_);
            if (watched_.empty()) {
                is_running_ = false;
                return;
            }
            const double now_s = monotonic_s();
            for (WatchedReads* reads : watched_) reads->check(now_s);
        }
    }

    std::mutex mutex_;
    bool is_running_ = false;
    std::vector<WatchedReads*> watched_;
};

}  // namespace

WatchedReads::WatchedReads(PyavDeadline* deadline, std::shared_ptr<Interruption> interruption)
    : deadline_(deadline), timeout_s_(deadline->timeout_s), interruption_(std::move(interruption)) {
    ReadWatch::shared().add(this);
}

WatchedReads::~WatchedReads() {
    ReadWatch::shared().remove(this);
}

void WatchedReads::begin() noexcept {
    const std::lock_guard guard(mutex_);
    since_s_ = monotonic_s();
    is_reading_ = true;
    is_ended_ = false;
    set_timeout(-1);
}

void WatchedReads::end() noexcept {
    const std::lock_guard guard(mutex_);
    is_reading_ = false;
    // FFmpeg may have to take leave of the camera; of one that is silent it need not.
    if (!is_ended_) deadline_->since_s = monotonic_s();
    set_timeout(timeout_s_);
}

void WatchedReads::check(double now_s) noexcept {
    const std::lock_guard guard(mutex_);
    if (!is_reading_ || !(is_interrupted() || now_s > since_s_ + timeout_s_)) return;
    is_ended_ = true;
    set_timeout(0);
}

// FFmpeg's thread reads it through PyAV at any time.
void WatchedReads::set_timeout(double timeout_s) noexcept {
    __atomic_store(&deadline_->timeout_s, &timeout_s, __ATOMIC_RELEASE);
}

}  // namespace pylfr
