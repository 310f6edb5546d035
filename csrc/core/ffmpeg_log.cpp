#include "core/ffmpeg_log.hpp"

#include <cstring>
#include <utility>

namespace pylfr {

namespace {

// As libavformat/rtsp.c has it: "Status %d: Redirecting to %s".
constexpr const char* redirect_words = "Redirecting to";

thread_local bool has_redirect = false;

}  // namespace

void hear_ffmpeg(void*, int, const char* format, std::va_list) noexcept {
    if (format != nullptr && std::strstr(format, redirect_words) != nullptr) has_redirect = true;
}

bool is_redirected() noexcept {
    return has_redirect;
}

bool take_redirect() noexcept {
    return std::exchange(has_redirect, false);
}

}  // namespace pylfr
