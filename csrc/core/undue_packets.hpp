// Reads a camera's packets in PyAV's place, and decodes those whose pictures nobody wants, without Python: of hundreds
// of cameras each would otherwise wait for its lock some ten times a picture. Works on what PyAV has opened, by the
// functions that PyAV is linked with.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "core/interruption.hpp"
#include "core/read_watch.hpp"

namespace pylfr {

// From when on pictures of a camera are wanted, in monotonic seconds. Any thread may say so, at any time.
class DueTime {
 public:
    double at_s() const noexcept { return at_s_.load(std::memory_order_acquire); }
    void set(double at_s) noexcept { at_s_.store(at_s, std::memory_order_release); }

 private:
    std::atomic<double> at_s_{0};
};

// How FFmpeg's AVPacket begins. Python checks that PyAV's packets do, before any is read here.
struct PacketHead {
    void* buffer;
    std::int64_t pts, dts;
    std::uint8_t* data;
    std::int32_t size, stream, flags;
};

struct FfmpegCalls {
    int (*read_frame)(void* format, PacketHead* packet);
    int (*send_packet)(void* codec, const PacketHead* packet);
    int (*receive_frame)(void* codec, void* frame);
    void (*unref_packet)(PacketHead* packet);
    void* (*alloc_frame)();
    void (*unref_frame)(void* frame);
    void (*free_frame)(void** frame);
};

// What PyAV has opened, and the deadline by which it ends FFmpeg's reads.
struct PyavContexts {
    void* format;
    void* codec;
    PyavDeadline* deadline;
};

// What was read since this was asked last, and not handed on.
struct PassedPackets {
    std::int64_t video = 0, keys = 0, others = 0, pictures = 0;
};

// One stream of an open container, whose owner keeps the contexts. One thread at a time; `interruption` may be none.
class UndueReader {
 public:
    UndueReader(const FfmpegCalls& calls, const PyavContexts& contexts, std::int32_t stream,
                std::shared_ptr<Interruption> interruption);
    ~UndueReader();
    UndueReader(const UndueReader&) = delete;
    UndueReader& operator=(const UndueReader&) = delete;

    // Reads into `packet` the first one that comes once pictures are due, of any stream; those that come before are
    // decoded, and their pictures let go. 0, or FFmpeg's error: also where nothing comes for as long as PyAV would
    // wait, and once it is interrupted.
    int read(PacketHead* packet, const DueTime& due);

    PassedPackets take_passed() noexcept;

 private:
    int decode(const PacketHead& packet);

    FfmpegCalls calls_;
    PyavContexts contexts_;
    WatchedReads reads_;
    void* frame_;
    std::int32_t stream_;
    PassedPackets passed_;
};

}  // namespace pylfr
