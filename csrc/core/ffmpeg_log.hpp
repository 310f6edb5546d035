// Listens for redirects in FFmpeg's log. FFmpeg follows an RTSP redirect to any host, with the password, and has no
// option against it, but it logs the redirect first, on the thread that connects.
#pragma once

#include <cstdarg>

namespace pylfr {

// For av_log_set_callback: notes a redirect for the calling thread and drops everything else. Takes no lock and no GIL.
void hear_ffmpeg(void* source, int level, const char* format, std::va_list words) noexcept;

// Whether a redirect was noted for this thread since it was last taken.
bool is_redirected() noexcept;

// As is_redirected, and takes it.
bool take_redirect() noexcept;

}  // namespace pylfr
