#include "core/stream.hpp"

#include <stdexcept>
#include <utility>

#include "core/memory.hpp"

namespace pylfr {

Stream::Stream(Device device) : place_{device, nullptr}, is_own_(true) {
    if (device == Device::cuda) place_.stream = cuda::make_stream();
}

Stream::Stream(void* handle, std::shared_ptr<void> owner)
    : place_{Device::cuda, handle}, is_own_(false), owner_(std::move(owner)) {}

Stream::~Stream() {
    if (device() == Device::cpu) return;
    try {
        cuda::synchronise(handle());
    } catch (...) {  // the context is gone or has failed: nothing runs there any more
    }
    memory_pool(MemoryKind::device).retire(handle());
    memory_pool(MemoryKind::pinned).retire(handle());
    if (is_own_) cuda::destroy_stream(handle());
}

void Stream::synchronise() const {
    if (device() == Device::cuda) cuda::synchronise(handle());
}

void Stream::wait(const Event& event) const {
    if (device() != event.device()) throw std::invalid_argument("a stream waits for events of its own device only");
    if (device() == Device::cuda) cuda::wait(handle(), event.handle());
}

Event::Event(const Stream& stream, bool is_timed) : device_(stream.device()), is_timed_(is_timed) {
    if (device_ == Device::cpu) {
        at_ = std::chrono::steady_clock::now();
        return;
    }
    handle_ = cuda::make_event(is_timed);
    try {
        cuda::record(handle_, stream.handle());
    } catch (...) {
        cuda::destroy_event(handle_);
        throw;
    }
}

Event::~Event() {
    if (handle_ != nullptr) cuda::destroy_event(handle_);
}

bool Event::is_done() const {
    return device_ == Device::cpu || cuda::is_done(handle_);
}

void Event::synchronise() const {
    if (device_ == Device::cuda) cuda::synchronise_event(handle_);
}

float Event::ms_since(const Event& earlier) const {
    if (!is_timed_ || !earlier.is_timed_ || device_ != earlier.device_) {
        throw std::invalid_argument("ms_since needs two timed events of one device: record them with timed=True");
    }
    if (device_ == Device::cuda) return cuda::elapsed_ms(earlier.handle_, handle_);
    return std::chrono::duration<float, std::milli>(at_ - earlier.at_).count();
}

Graph::Graph(const Stream& stream, std::function<void()> work) : device_(stream.device()) {
    if (device_ == Device::cpu) {
        work_ = std::move(work);
        return;
    }
    cuda::begin_capture(stream.handle());
    try {
        work();
    } catch (...) {
        cuda::abandon_capture(stream.handle());
        throw;
    }
    handle_ = cuda::end_capture(stream.handle());
}

Graph::~Graph() {
    if (handle_ != nullptr) cuda::destroy_graph(handle_);
}

void Graph::replay(const Stream& stream) const {
    if (device_ != stream.device()) throw std::invalid_argument("a graph is replayed on a stream of its own device");
    if (device_ == Device::cuda) {
        cuda::launch_graph(handle_, stream.handle());
    } else {
        work_();
    }
}

}  // namespace pylfr
