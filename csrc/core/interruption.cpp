#include "core/interruption.hpp"

#include <chrono>
#include <utility>

#include "core/ffmpeg_log.hpp"

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
    const std::chrono::duration<double> now = std::chrono::steady_clock::now().time_since_epoch();
    if (current == nullptr || !(current->is_over() || is_redirected())) return now.count();
    // A deadline that is set after the leap must be over too.
    leaps += 1;
    return now.count() + leap_s * leaps;
}

}  // namespace pylfr
