// Python's monotonic clock.
#pragma once

#include <chrono>

namespace pylfr {

inline double monotonic_s() noexcept {
    const std::chrono::duration<double> now = std::chrono::steady_clock::now().time_since_epoch();
    return now.count();
}

}  // namespace pylfr
