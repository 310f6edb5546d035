// The CUDA half of device.hpp: streams, events, memory and copies, by the runtime API on whatever context is current.
#include <cuda_runtime_api.h>

#include <cstring>
#include <memory>
#include <string>

#include "core/device.hpp"

namespace pylfr {

namespace {

// CUDA remembers the last error until it is asked for. An error that was already reported must not be blamed on the
// next launch.
void forget(cudaError_t error) noexcept {
    if (error != cudaSuccess) static_cast<void>(cudaGetLastError());
}

void check(cudaError_t error, const char* what) {
    if (error == cudaSuccess) return;
    forget(error);
    if (error == cudaErrorInsufficientDriver || error == cudaErrorNoDevice) {
        throw CudaError("no CUDA device was found: check the driver, or use device \"cpu\"");
    }
    throw CudaError(std::string(what) + " failed: " + cudaGetErrorName(error) + ", " + cudaGetErrorString(error));
}

cudaStream_t as_stream(void* stream) {
    return static_cast<cudaStream_t>(stream);
}

cudaEvent_t as_event(void* event) {
    return static_cast<cudaEvent_t>(event);
}

// Null where there is no room.
void* room_or_null(cudaError_t error, void* memory, const char* what) {
    if (error == cudaErrorMemoryAllocation) {
        forget(error);
        return nullptr;
    }
    check(error, what);
    return memory;
}

// A host thread that waits for an event sleeps; one that waits for a stream would spin.
constexpr unsigned untimed = cudaEventBlockingSync | cudaEventDisableTiming;
constexpr unsigned timed = cudaEventBlockingSync;

}  // namespace

bool built_with_cuda() {
    return true;
}

int cuda_device_count() {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaErrorInsufficientDriver || error == cudaErrorNoDevice) {
        forget(error);
        return 0;
    }
    check(error, "counting CUDA devices");
    return count;
}

namespace cuda {

int current_device() {
    int device = 0;
    check(cudaGetDevice(&device), "asking for the current CUDA device");
    return device;
}

void* make_stream() {
    cudaStream_t stream = nullptr;
    // Non-blocking: it does not synchronise with the legacy default stream.
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a CUDA stream");
    return stream;
}

void destroy_stream(void* stream) noexcept {
    forget(cudaStreamDestroy(as_stream(stream)));
}

void synchronise(void* stream) {
    const std::unique_ptr<void, void (*)(void*)> event(make_event(false), &destroy_event);
    record(event.get(), stream);
    check(cudaEventSynchronize(as_event(event.get())), "waiting for a CUDA stream");
}

void synchronise_all() noexcept {
    forget(cudaDeviceSynchronize());
}

void* make_event(bool is_timed) {
    cudaEvent_t event = nullptr;
    check(cudaEventCreateWithFlags(&event, is_timed ? timed : untimed), "making a CUDA event");
    return event;
}

void destroy_event(void* event) noexcept {
    forget(cudaEventDestroy(as_event(event)));
}

void record(void* event, void* stream) {
    check(cudaEventRecord(as_event(event), as_stream(stream)), "recording a CUDA event");
}

void wait(void* stream, void* event) {
    check(cudaStreamWaitEvent(as_stream(stream), as_event(event), 0), "making a CUDA stream wait");
}

void begin_capture(void* stream) {
    // Thread-local: decode threads may allocate meanwhile.
    check(cudaStreamBeginCapture(as_stream(stream), cudaStreamCaptureModeThreadLocal), "beginning a CUDA graph");
}

void* end_capture(void* stream) {
    cudaGraph_t graph = nullptr;
    const cudaError_t ended = cudaStreamEndCapture(as_stream(stream), &graph);
    if (ended != cudaSuccess && graph != nullptr) forget(cudaGraphDestroy(graph));
    check(ended, "recording a CUDA graph");
    cudaGraphExec_t ready = nullptr;
    const cudaError_t error = cudaGraphInstantiate(&ready, graph, 0);
    forget(cudaGraphDestroy(graph));
    check(error, "preparing a CUDA graph");
    return ready;
}

void abandon_capture(void* stream) noexcept {
    cudaGraph_t graph = nullptr;
    forget(cudaStreamEndCapture(as_stream(stream), &graph));
    if (graph != nullptr) forget(cudaGraphDestroy(graph));
}

void launch_graph(void* graph, void* stream) {
    check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), as_stream(stream)), "launching a CUDA graph");
}

void destroy_graph(void* graph) noexcept {
    forget(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)));
}

void synchronise_event(void* event) {
    check(cudaEventSynchronize(as_event(event)), "waiting for a CUDA event");
}

bool is_done(void* event) {
    const cudaError_t error = cudaEventQuery(as_event(event));
    if (error == cudaErrorNotReady) {
        forget(error);
        return false;
    }
    check(error, "asking for a CUDA event");
    return true;
}

float elapsed_ms(void* from, void* to) {
    float ms = 0.0f;
    check(cudaEventElapsedTime(&ms, as_event(from), as_event(to)), "timing between two CUDA events");
    return ms;
}

void* allocate(std::size_t bytes) {
    void* memory = nullptr;
    const cudaError_t error = cudaMalloc(&memory, bytes);
    return room_or_null(error, memory, "allocating device memory");
}

void release(void* memory) noexcept {
    forget(cudaFree(memory));
}

void* allocate_pinned(std::size_t bytes) {
    void* memory = nullptr;
    const cudaError_t error = cudaHostAlloc(&memory, bytes, cudaHostAllocDefault);
    return room_or_null(error, memory, "allocating pinned memory");
}

void release_pinned(void* memory) noexcept {
    forget(cudaFreeHost(memory));
}

}  // namespace cuda

void copy_bytes(void* to, Device to_device, const void* from, Device from_device, std::size_t bytes, void* stream) {
    if (bytes == 0) return;
    if (to_device == Device::cpu && from_device == Device::cpu) {
        std::memcpy(to, from, bytes);
        return;
    }
    const cudaMemcpyKind kind = to_device == Device::cpu     ? cudaMemcpyDeviceToHost
                                : from_device == Device::cpu ? cudaMemcpyHostToDevice
                                                             : cudaMemcpyDeviceToDevice;
    check(cudaMemcpyAsync(to, from, bytes, kind, as_stream(stream)), "copying to or from a CUDA device");
}

void zero_bytes(void* memory, Device device, std::size_t bytes, void* stream) {
    if (bytes == 0) return;
    if (device == Device::cuda) {
        check(cudaMemsetAsync(memory, 0, bytes, as_stream(stream)), "wiping device memory");
        return;
    }
    std::memset(memory, 0, bytes);
    // Tells the compiler that these zeros are read, so that it cannot optimise them away.
    __asm__ __volatile__("" : : "r"(memory) : "memory");
}

}  // namespace pylfr
