#include "core/undue_packets.hpp"

#include <cerrno>
#include <new>
#include <utility>

#include "core/monotonic.hpp"

namespace pylfr {

namespace {

// As libavutil/error.h and libavcodec/packet.h have them.
constexpr int again = -EAGAIN;
constexpr int end_of_file = -('E' | ('O' << 8) | ('F' << 16) | (' ' << 24));
constexpr int told_to_end = -('E' | ('X' << 8) | ('I' << 16) | ('T' << 24));
constexpr int invalid_data = -('I' | ('N' << 8) | ('D' << 16) | ('A' << 24));
constexpr std::int32_t key_flag = 1;

// A packet that was damaged on its way costs its pictures and nothing else.
bool is_harmless(int error) noexcept {
    return error >= 0 || error == again || error == end_of_file || error == invalid_data;
}

}  // namespace

UndueReader::UndueReader(const FfmpegCalls& calls, const PyavContexts& contexts, std::int32_t stream,
                         std::shared_ptr<Interruption> interruption)
    : calls_(calls),
      contexts_(contexts),
      reads_(contexts.deadline, std::move(interruption)),
      frame_(calls.alloc_frame()),
      stream_(stream) {
    if (frame_ == nullptr) throw std::bad_alloc();
}

UndueReader::~UndueReader() {
    calls_.free_frame(&frame_);
}

int UndueReader::read(PacketHead* packet, const DueTime& due) {
    // FFmpeg does not ask whether to go on wherever it waits.
    while (!reads_.is_interrupted()) {
        calls_.unref_packet(packet);
        reads_.begin();
        const int error = calls_.read_frame(contexts_.format, packet);
        reads_.end();
        if (error < 0 || monotonic_s() >= due.at_s()) return error < 0 ? error : 0;
        int decoded = 0;
        if (packet->stream == stream_) {
            ++passed_.video;
            passed_.keys += packet->flags & key_flag;
            decoded = decode(*packet);
        } else {
            ++passed_.others;
        }
        if (!is_harmless(decoded)) return decoded;
    }
    return told_to_end;
}

int UndueReader::decode(const PacketHead& packet) {
    const int sent = calls_.send_packet(contexts_.codec, &packet);
    if (!is_harmless(sent)) return sent;
    for (;;) {
        const int error = calls_.receive_frame(contexts_.codec, frame_);
        if (error < 0) return error;
        calls_.unref_frame(frame_);
        ++passed_.pictures;
    }
}

PassedPackets UndueReader::take_passed() noexcept {
    return std::exchange(passed_, PassedPackets{});
}

}  // namespace pylfr
