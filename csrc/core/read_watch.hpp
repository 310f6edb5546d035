// Ends a read of FFmpeg that takes too long, or whose camera is to be closed. FFmpeg asks before it waits, and ten
// times a second meanwhile, whether it should go on. PyAV answers with a deadline, and takes Python's lock to read its
// clock, unless the timeout is negative, which means none. So it is while the core reads, and one thread, which needs
// no lock of Python's, watches the reads of all cameras and sets the timeout of one that must end to 0.
#pragma once

#include <memory>
#include <mutex>

#include "core/interruption.hpp"

namespace pylfr {

// PyAV's `timeout_info`, in the object of a container: FFmpeg is told to give up once this is over.
struct PyavDeadline {
    double since_s, timeout_s;
};

// The reads of one container. One thread at a time, and the watch's own.
class WatchedReads {
 public:
    // Of `deadline`, whose owner keeps it, the timeout is used; `interruption` may be none. Throws where the watch
    // cannot start its thread.
    WatchedReads(PyavDeadline* deadline, std::shared_ptr<Interruption> interruption);
    ~WatchedReads();
    WatchedReads(const WatchedReads&) = delete;
    WatchedReads& operator=(const WatchedReads&) = delete;

    // Between the two the watch decides when the read is over; after it PyAV does, whose deadline begins anew then.
    void begin() noexcept;
    void end() noexcept;

    bool is_interrupted() const noexcept { return interruption_ != nullptr && interruption_->is_over(); }

    // Ends the read if it has taken too long or is interrupted.
    void check(double now_s) noexcept;

 private:
    void set_timeout(double timeout_s) noexcept;

    PyavDeadline* deadline_;
    const double timeout_s_;
    const std::shared_ptr<Interruption> interruption_;
    std::mutex mutex_;
    double since_s_ = 0;
    bool is_reading_ = false, is_ended_ = false;
};

}  // namespace pylfr
