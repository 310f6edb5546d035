#include "core/interruption.hpp"

#include <utility>

#include "core/ffmpeg_log.hpp"
#include "core/monotonic.hpp"

namespace pylfr {

namespace {

constexpr double leap_s = 1e9;

thread_local std::shared_ptr<Interruption> current;
thread_local double leaps = 0;

}  // namespace

std::shared_ptr<Interruption> interrupted_by(std::shared_ptr<Interruption> interruption) {
    return std::exchange(current, std::move(interruption));
}

double waiting_clock() noexcept {
    if (current == nullptr || !(current->is_over() || is_redirected())) return monotonic_s();
    // A deadline that is set after the leap must be over too.
    leaps += 1;
    return monotonic_s() + leap_s * leaps;
}

}  // namespace pylfr
