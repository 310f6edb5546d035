// What FFmpeg says on its way to a camera: its RTSP follows a redirect to any host, with the password, and has no
// setting against it. It says so before it goes there, on the thread that connects.
#pragma once

#include <cstdarg>

namespace pylfr {

// For av_log_set_callback: notes a redirect for this thread, and drops all else. It asks for no lock and no GIL.
void hear_ffmpeg(void* source, int level, const char* format, std::va_list words) noexcept;

// Whether a redirect was noted for this thread since this was asked last.
bool take_redirect() noexcept;

}  // namespace pylfr
