// Streams, events and graphs of a device. On the CPU work is done when it is called, so the same code runs there.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "core/device.hpp"

namespace pylfr {

class Event;

class Stream {
 public:
    // A new stream; on CUDA a non-blocking one, which does not synchronise with the legacy default stream.
    explicit Stream(Device device);

    // Another library's CUDA stream, kept alive by `owner`.
    Stream(void* handle, std::shared_ptr<void> owner);

    // Waits for its work, so that the pool may give its memory to other streams.
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    Device device() const { return place_.device; }
    void* handle() const { return place_.stream; }
    Place place() const { return place_; }
    void synchronise() const;
    void wait(const Event& event) const;

 private:
    Place place_;
    bool is_own_;
    std::shared_ptr<void> owner_;
};

// A point in a stream's work.
class Event {
 public:
    Event(const Stream& stream, bool is_timed);
    ~Event();
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    Device device() const { return device_; }
    void* handle() const { return handle_; }
    bool is_done() const;
    void synchronise() const;

    // Milliseconds from an earlier event; both must be timed and done.
    float ms_since(const Event& earlier) const;

 private:
    Device device_;
    bool is_timed_;
    void* handle_ = nullptr;
    std::chrono::steady_clock::time_point at_;  // the CPU's
};

// What `work` queues on a stream, recorded once and replayed with one call. On the CPU `work` is called again.
class Graph {
 public:
    // Records without running. On CUDA `work` may only queue on that stream.
    Graph(const Stream& stream, std::function<void()> work);
    ~Graph();
    Graph(const Graph&) = delete;
    Graph& operator=(const Graph&) = delete;

    void replay(const Stream& stream) const;

 private:
    Device device_;
    std::function<void()> work_;  // the CPU's
    void* handle_ = nullptr;
};

}  // namespace pylfr
