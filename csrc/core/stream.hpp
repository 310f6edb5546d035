// The order in which a device works, and marks in it. On the CPU work is done when it is called: the same code runs
// there.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "core/device.hpp"

namespace pylfr {

class Event;

class Stream {
 public:
    // A stream of its own; on CUDA one that the legacy default stream does not wait for.
    explicit Stream(Device device);

    // Somebody else's stream on CUDA, which must outlive this.
    Stream(void* handle, std::shared_ptr<void> owner);

    // Waits for its work, so that the pool may lend its memory to others.
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

// Where a stream stood when this was recorded.
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

// What `work` queued on a stream, recorded once: queued again with one call. On the CPU `work` is done again.
class Graph {
 public:
    // Records; nothing of it runs. On CUDA `work` may only queue, on that stream.
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
