// Ends a read of FFmpeg that takes too long, or whose camera is to be closed. FFmpeg asks before it waits, and ten
// times a second meanwhile, whether it should go on. PyAV answers with a deadline, and takes Python's lock to read its
// clock, unless the deadline is negative: then none is meant. So it is while the core reads, and one thread, which
// needs no lock of Python's, watches the reads of all cameras and sets the deadline of one that is over.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "core/interruption.hpp"
#include "core/monotonic.hpp"

namespace pylfr {

// PyAV's `timeout_info`, in the object of a container: FFmpeg is told to give up once this is over.
struct PyavDeadline {
    double since_s, timeout_s;
};

class ReadWatch;

// The reads of one container. One thread at a time, and the watch's own.
class WatchedReads {
 public:
    // Of `deadline`, whose owner keeps it, the timeout is used; `interruption` may be none.
    WatchedReads(PyavDeadline* deadline, std::shared_ptr<Interruption> interruption);
    ~WatchedReads();
    WatchedReads(const WatchedReads&) = delete;
    WatchedReads& operator=(const WatchedReads&) = delete;

    // From now on the watch decides when a read is over, until `end`.
    void begin() noexcept;
    void end() noexcept;

    // A read has ended, and another one begins.
    void go_on() noexcept { since_s_.store(monotonic_s(), std::memory_order_relaxed); }

    // What the watch does from time to time.
    void check(double now_s) noexcept;

 private:
    void set_timeout(double timeout_s) noexcept;

    PyavDeadline* deadline_;
    const double timeout_s_;
    const std::shared_ptr<Interruption> interruption_;
    std::atomic<double> since_s_{0};
    std::mutex mutex_;
    bool is_reading_ = false;
    const std::shared_ptr<ReadWatch> watch_;
};

}  // namespace pylfr
