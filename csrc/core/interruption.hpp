// Ends what FFmpeg waits for. PyAV gives up once a clock says that its deadline is over, and asks it whenever FFmpeg
// asks while PyAV opens, reads or closes a camera: this is that clock, which leaps ahead once the thread that asks is
// over with its camera. Where the core reads, `read_watch.hpp` does so.
#pragma once

#include <atomic>
#include <memory>

namespace pylfr {

// Turned on once, by any thread.
class Interruption {
 public:
    void interrupt() noexcept { is_over_.store(true, std::memory_order_release); }
    bool is_over() const noexcept { return is_over_.load(std::memory_order_acquire); }

 private:
    std::atomic<bool> is_over_{false};
};

// What ends the calling thread's waiting from now on, none for nothing; what ended it before.
std::shared_ptr<Interruption> interrupted_by(std::shared_ptr<Interruption> interruption);

// Monotonic seconds; far ahead, and later with every call, once the calling thread is interrupted or was redirected.
double waiting_clock() noexcept;

}  // namespace pylfr
