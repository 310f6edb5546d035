// The lazy streams, the events and the threads of blocks behind cuda_runtime_api.h.
#include <ucontext.h>
#include <chrono>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cuda_runtime.h"

#undef __shared__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // getcontext returns twice, which GCC takes for a fault
#define VISIBLE extern "C" __attribute__((visibility("default")))

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace {

// One for all: a thread that waits does the work of everybody's streams.
std::recursive_mutex busy;

[[noreturn]] void fail(const std::string& why) {
    std::fprintf(stderr, "CUDA's stand-in: %s\n", why.c_str());
    std::abort();
}

cudaError_t last_error = cudaSuccess;
std::map<std::string, cudaError_t> planned;  // the next call of that name fails so

cudaError_t said(cudaError_t error) {
    if (error != cudaSuccess) last_error = error;
    return error;
}

// The failure that a test has planned for this call.
cudaError_t planned_for(const char* call) {
    const auto found = planned.find(call);
    if (found == planned.end()) return cudaSuccess;
    const cudaError_t error = found->second;
    planned.erase(found);
    return said(error);
}

std::map<std::uintptr_t, std::size_t> device_memory, pinned_memory;

bool lies_in(const std::map<std::uintptr_t, std::size_t>& blocks, const void* memory, std::size_t bytes) {
    const auto at = reinterpret_cast<std::uintptr_t>(memory);
    auto after = blocks.upper_bound(at);
    if (after == blocks.begin()) return false;
    const auto& [start, size] = *--after;
    return at >= start && at + bytes <= start + size;
}

}  // namespace

struct StandInGraph {
    std::vector<std::function<void()>> work;
};

struct StandInStream {
    std::deque<std::function<void()>> queued;
    std::int64_t done = 0;                    // how much was ever done
    std::unique_ptr<StandInGraph> recording;  // a graph that is being recorded
    std::int64_t end() const { return done + static_cast<std::int64_t>(queued.size()); }
};

// Where a stream stood: shared, for an event may be recorded anew, or destroyed, while another stream waits for it.
struct Mark {
    std::shared_ptr<StandInStream> stream;
    std::int64_t position = 0;
    std::chrono::steady_clock::time_point at;
    bool is_done = false;
};

struct StandInEvent {
    std::shared_ptr<Mark> mark;
    bool is_timed = false;
    bool blocks_host = false;
};

namespace {

std::map<StandInStream*, std::shared_ptr<StandInStream>> streams;

std::shared_ptr<StandInStream> legacy() {
    static const auto stream = std::make_shared<StandInStream>();
    return stream;
}

// 0, 1 and 2 are the default streams.
std::shared_ptr<StandInStream> stream_of(cudaStream_t handle) {
    if (reinterpret_cast<std::uintptr_t>(handle) <= 2) return legacy();
    const auto found = streams.find(handle);
    return found == streams.end() ? nullptr : found->second;
}

void drain(StandInStream& stream, std::int64_t to) {
    while (stream.done < to) {
        const std::function<void()> next = std::move(stream.queued.front());
        stream.queued.pop_front();
        ++stream.done;
        next();
    }
}

void drain_all() {
    for (bool was_busy = true; was_busy;) {
        was_busy = !legacy()->queued.empty();
        drain(*legacy(), legacy()->end());
        for (const auto& [handle, stream] : streams) {
            was_busy = was_busy || !stream->queued.empty();
            drain(*stream, stream->end());
        }
    }
}

cudaError_t enqueue(cudaStream_t handle, std::function<void()> work) {
    const auto stream = stream_of(handle);
    if (stream == nullptr) return said(cudaErrorInvalidResourceHandle);
    if (stream->recording != nullptr) {
        stream->recording->work.push_back(std::move(work));
    } else {
        stream->queued.push_back(std::move(work));
    }
    return cudaSuccess;
}

void reach(const std::shared_ptr<Mark>& mark) {
    if (mark != nullptr && !mark->is_done) drain(*mark->stream, mark->position);
}

void* allocate(std::map<std::uintptr_t, std::size_t>& blocks, std::size_t bytes) {
    void* memory = std::aligned_alloc(512, (bytes + 511) / 512 * 512);
    if (memory == nullptr) return nullptr;
    // Whoever reads what nobody wrote sees nonsense.
    std::memset(memory, 0xa5, std::min<std::size_t>(bytes, 1 << 20));
    blocks[reinterpret_cast<std::uintptr_t>(memory)] = bytes;
    return memory;
}

cudaError_t release(std::map<std::uintptr_t, std::size_t>& blocks, void* memory) {
    if (memory == nullptr) return cudaSuccess;
    const auto found = blocks.find(reinterpret_cast<std::uintptr_t>(memory));
    if (found == blocks.end()) return said(cudaErrorInvalidValue);
    std::memset(memory, 0xdd, std::min<std::size_t>(found->second, 1 << 20));
    blocks.erase(found);
    std::free(memory);
    return cudaSuccess;
}

// The threads of a block: each runs until it waits for others or has ended.
constexpr std::size_t stack_bytes = std::size_t{1} << 16;

struct Fiber {
    std::unique_ptr<char[]> stack;
    ucontext_t first{};
    std::jmp_buf here{};
    bool is_started = false, is_waiting = false, is_done = false;
};

// Lanes that exchange values: a whole warp, or eight neighbours.
struct Exchange {
    std::uint64_t given[2][32];
    int turn = 0, arrived = 0;
};

struct Warp {
    Exchange all, eights[4];
};

std::vector<std::unique_ptr<Fiber>> fibers;
std::vector<Warp> warps;
std::jmp_buf scheduler;
const std::function<void()>* body = nullptr;
int running = 0, alive = 0, at_barrier = 0;
bool is_reversed = false;
int wait_ms = 0;
int processors = 3, block_bytes = stand_in::most_shared_bytes;
std::int64_t event_calls = 0;  // that made, recorded, waited for on the device, or destroyed an event

void wait_here() {
    Fiber& own = *fibers[running];
    own.is_waiting = true;
    if (_setjmp(own.here) == 0) _longjmp(scheduler, 1);
}

void fiber_main() {
    for (;;) {
        (*body)();
        Fiber& own = *fibers[running];
        own.is_done = true;
        if (_setjmp(own.here) == 0) _longjmp(scheduler, 1);
    }
}

void resume(int thread) {
    running = thread;
    threadIdx = dim3(static_cast<unsigned>(thread), 0, 0);
    Fiber& own = *fibers[thread];
    if (_setjmp(scheduler) != 0) return;
    if (own.is_started) _longjmp(own.here, 1);
    own.is_started = true;
    setcontext(&own.first);
}

void release_barrier(int threads) {
    if (at_barrier == 0 || at_barrier < alive) return;
    at_barrier = 0;
    for (int t = 0; t < threads; ++t) fibers[t]->is_waiting = false;
}

void run_block(int threads) {
    while (static_cast<int>(fibers.size()) < threads) {
        auto fiber = std::make_unique<Fiber>();
        fiber->stack = std::make_unique<char[]>(stack_bytes);
        getcontext(&fiber->first);
        fiber->first.uc_stack.ss_sp = fiber->stack.get();
        fiber->first.uc_stack.ss_size = stack_bytes;
        makecontext(&fiber->first, fiber_main, 0);
        fibers.push_back(std::move(fiber));
    }
    warps.assign((threads + 31) / 32, Warp{});
    for (int t = 0; t < threads; ++t) fibers[t]->is_waiting = fibers[t]->is_done = false;
    alive = threads;
    at_barrier = 0;
    while (alive > 0) {
        bool has_moved = false;
        for (int place = 0; place < threads; ++place) {
            const int thread = is_reversed ? threads - 1 - place : place;
            if (fibers[thread]->is_done || fibers[thread]->is_waiting) continue;
            has_moved = true;
            resume(thread);
            if (!fibers[thread]->is_done) continue;
            --alive;
            release_barrier(threads);
        }
        if (!has_moved && alive > 0) fail("the threads of a block wait for each other");
    }
}

}  // namespace

namespace stand_in {

int lane() {
    return running % 32;
}

int shared_bytes() {
    return block_bytes;
}

const std::uint64_t* exchange(std::uint64_t own, unsigned mask) {
    const int me = running, eighth = me % 32 / 8;
    const bool is_warp = mask == 0xffffffffu;
    if (!is_warp && mask != 0xffu << (8 * eighth))
        fail("a warp's function must name all lanes, or its eight neighbours");
    Exchange& with = is_warp ? warps[me / 32].all : warps[me / 32].eights[eighth];
    const int first = is_warp ? me / 32 * 32 : me / 8 * 8, lanes = is_warp ? 32 : 8;
    std::uint64_t* given = with.given[with.turn];
    given[me % 32] = own;
    if (++with.arrived < lanes) {
        wait_here();
        return given;
    }
    with.arrived = 0;
    with.turn = 1 - with.turn;
    for (int t = first; t < first + lanes; ++t) fibers[t]->is_waiting = false;
    return given;
}

void block_barrier() {
    const int threads = static_cast<int>(blockDim.x);
    if (++at_barrier < alive) return wait_here();
    release_barrier(threads);
}

cudaError_t launch(const cudaLaunchConfig_t& config, std::function<void()> thread) {
    const std::lock_guard lock(busy);
    if (const cudaError_t error = planned_for("launch"); error != cudaSuccess) return error;
    const dim3 grid = config.gridDim, block = config.blockDim;
    if (grid.x == 0 || block.x == 0 || block.x > 1024) return said(cudaErrorInvalidValue);
    if (config.dynamicSmemBytes > static_cast<std::size_t>(block_bytes)) return said(cudaErrorInvalidValue);
    return enqueue(config.stream, [grid, block, thread = std::move(thread)] {
        gridDim = grid;
        blockDim = block;
        body = &thread;
        for (unsigned number = 0; number < grid.x; ++number) {
            blockIdx = dim3(number, 0, 0);
            run_block(static_cast<int>(block.x));
        }
    });
}

}  // namespace stand_in

// For tests, by ctypes: what the next call of that name answers, the error that is left behind, what a stream has
// queued, how often an event was made that a host's wait may sleep on, and in which order the threads of a block run.
VISIBLE void stand_in_plan_failure(const char* call, int error) {
    const std::lock_guard lock(busy);
    planned[call] = static_cast<cudaError_t>(error);
}

VISIBLE int stand_in_error_left() {
    const std::lock_guard lock(busy);
    return last_error;
}

VISIBLE std::int64_t stand_in_queued(std::uintptr_t handle) {
    const std::lock_guard lock(busy);
    const auto stream = stream_of(reinterpret_cast<cudaStream_t>(handle));
    return stream == nullptr ? -1 : static_cast<std::int64_t>(stream->queued.size());
}

VISIBLE void stand_in_run(std::uintptr_t handle) {
    const std::lock_guard lock(busy);
    const auto stream = stream_of(reinterpret_cast<cudaStream_t>(handle));
    if (stream != nullptr) drain(*stream, stream->end());
}

// Every wait of a host takes so long.
VISIBLE void stand_in_slow_waits(int ms) {
    const std::lock_guard lock(busy);
    wait_ms = ms;
}

// How many multiprocessors the device says that it has, and how much shared memory a block may have.
VISIBLE void stand_in_set_processors(int count) {
    const std::lock_guard lock(busy);
    processors = count;
}

VISIBLE void stand_in_set_shared_bytes(int bytes) {
    const std::lock_guard lock(busy);
    block_bytes = bytes;
}

VISIBLE std::int64_t stand_in_event_calls() {
    const std::lock_guard lock(busy);
    return event_calls;
}

VISIBLE void stand_in_reverse_threads(int is_on) {
    const std::lock_guard lock(busy);
    is_reversed = is_on != 0;
}

const char* cudaGetErrorName(cudaError_t error) {
    return error == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation"
           : error == cudaErrorIllegalAddress ? "cudaErrorIllegalAddress"
           : error == cudaErrorInvalidValue   ? "cudaErrorInvalidValue"
                                              : "cudaErrorOfTheStandIn";
}

const char* cudaGetErrorString(cudaError_t error) {
    return cudaGetErrorName(error);
}

cudaError_t cudaGetLastError() {
    const std::lock_guard lock(busy);
    return std::exchange(last_error, cudaSuccess);
}

cudaError_t cudaPeekAtLastError() {
    const std::lock_guard lock(busy);
    return last_error;
}

cudaError_t cudaGetDeviceCount(int* count) {
    *count = 1;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
    *device = 0;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
    *value = attribute == cudaDevAttrMultiProcessorCount ? processors : block_bytes;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
    const std::lock_guard lock(busy);
    if (const cudaError_t error = planned_for("cudaDeviceSynchronize"); error != cudaSuccess) return error;
    drain_all();
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    const std::lock_guard lock(busy);
    const auto made = std::make_shared<StandInStream>();
    streams[made.get()] = made;
    *stream = made.get();
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    const std::lock_guard lock(busy);
    if (const cudaError_t error = planned_for("cudaStreamDestroy"); error != cudaSuccess) return error;
    const auto found = streams.find(stream);
    if (found == streams.end()) return said(cudaErrorInvalidResourceHandle);
    drain(*found->second, found->second->end());
    streams.erase(found);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t) {
    fail("the host would spin: it waits for an event with cudaEventBlockingSync instead");
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    const std::lock_guard lock(busy);
    ++event_calls;
    return enqueue(stream, [mark = event->mark] { reach(mark); });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode) {
    const std::lock_guard lock(busy);
    if (const cudaError_t error = planned_for("cudaStreamBeginCapture"); error != cudaSuccess) return error;
    const auto stream = stream_of(handle);
    if (stream == nullptr || stream->recording != nullptr) return said(cudaErrorStreamCaptureUnsupported);
    stream->recording = std::make_unique<StandInGraph>();
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
    const std::lock_guard lock(busy);
    const auto stream = stream_of(handle);
    *graph = nullptr;
    if (stream == nullptr || stream->recording == nullptr) return said(cudaErrorStreamCaptureInvalidated);
    *graph = stream->recording.release();
    return planned_for("cudaStreamEndCapture");
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* ready, cudaGraph_t graph, unsigned long long) {
    const std::lock_guard lock(busy);
    *ready = new StandInGraph(*graph);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
    const std::lock_guard lock(busy);
    drain_all();
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
    const std::lock_guard lock(busy);
    return enqueue(stream, [graph] {
        for (const auto& work : graph->work) work();
    });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
    const std::lock_guard lock(busy);
    ++event_calls;
    if (const cudaError_t error = planned_for("cudaEventCreateWithFlags"); error != cudaSuccess) return error;
    *event = new StandInEvent{nullptr, (flags & cudaEventDisableTiming) == 0, (flags & cudaEventBlockingSync) != 0};
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    const std::lock_guard lock(busy);
    ++event_calls;
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
    const std::lock_guard lock(busy);
    ++event_calls;
    const auto stream = stream_of(handle);
    if (stream == nullptr) return said(cudaErrorInvalidResourceHandle);
    if (stream->recording != nullptr) return said(cudaErrorStreamCaptureUnsupported);
    const auto mark = std::make_shared<Mark>();
    mark->stream = stream;
    mark->position = stream->end() + 1;
    event->mark = mark;
    return enqueue(handle, [mark] {
        mark->is_done = true;
        mark->at = std::chrono::steady_clock::now();
    });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    const std::lock_guard lock(busy);
    if (const cudaError_t error = planned_for("cudaEventSynchronize"); error != cudaSuccess) return error;
    std::this_thread::sleep_for(std::chrono::milliseconds(wait_ms));
    if (!event->blocks_host) fail("the host would spin: an event that it waits for needs cudaEventBlockingSync");
    reach(event->mark);
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    const std::lock_guard lock(busy);
    if (const cudaError_t error = planned_for("cudaEventQuery"); error != cudaSuccess) return error;
    if (event->mark == nullptr || event->mark->is_done) return cudaSuccess;
    return said(cudaErrorNotReady);
}

cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t from, cudaEvent_t to) {
    const std::lock_guard lock(busy);
    if (!from->is_timed || !to->is_timed || from->mark == nullptr || to->mark == nullptr) {
        return said(cudaErrorInvalidResourceHandle);
    }
    if (!from->mark->is_done || !to->mark->is_done) return said(cudaErrorNotReady);
    *ms = std::chrono::duration<float, std::milli>(to->mark->at - from->mark->at).count();
    return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
    const std::lock_guard lock(busy);
    if (const cudaError_t error = planned_for("cudaMalloc"); error != cudaSuccess) return error;
    *memory = allocate(device_memory, bytes);
    return *memory == nullptr ? said(cudaErrorMemoryAllocation) : cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
    const std::lock_guard lock(busy);
    if (const cudaError_t error = planned_for("cudaFree"); error != cudaSuccess) return error;
    drain_all();  // CUDA waits for the device, too
    return release(device_memory, memory);
}

cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
    const std::lock_guard lock(busy);
    if (const cudaError_t error = planned_for("cudaHostAlloc"); error != cudaSuccess) return error;
    *memory = allocate(pinned_memory, bytes);
    return *memory == nullptr ? said(cudaErrorMemoryAllocation) : cudaSuccess;
}

cudaError_t cudaFreeHost(void* memory) {
    const std::lock_guard lock(busy);
    return release(pinned_memory, memory);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t handle) {
    const std::lock_guard lock(busy);
    if (const cudaError_t error = planned_for("cudaMemcpyAsync"); error != cudaSuccess) return error;
    const bool to_device = kind != cudaMemcpyDeviceToHost, from_device = kind != cudaMemcpyHostToDevice;
    if (to_device != lies_in(device_memory, to, bytes)) fail("a copy's target is not where its kind says");
    if (from_device != lies_in(device_memory, from, bytes)) fail("a copy's source is not where its kind says");
    const bool is_pageable_source = !from_device && !lies_in(pinned_memory, from, bytes);
    const bool is_pageable_target = !to_device && !lies_in(pinned_memory, to, bytes);
    if (is_pageable_source) {  // the driver copies it before it returns
        const std::vector<char> staged(static_cast<const char*>(from), static_cast<const char*>(from) + bytes);
        return enqueue(handle, [to, staged, bytes] { std::memcpy(to, staged.data(), bytes); });
    }
    const cudaError_t error = enqueue(handle, [=] {
        const bool is_gone = !lies_in(to_device            ? device_memory
                                      : is_pageable_target ? device_memory
                                                           : pinned_memory,
                                      to, bytes) &&
                             !is_pageable_target;
        if (is_gone) fail("a copy's target was freed before the copy was made");
        if (!lies_in(from_device ? device_memory : pinned_memory, from, bytes)) {
            fail("a copy's source was freed before the copy was made");
        }
        std::memcpy(to, from, bytes);
    });
    if (is_pageable_target) drain(*stream_of(handle), stream_of(handle)->end());  // the driver waits, too
    return error;
}

cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t handle) {
    const std::lock_guard lock(busy);
    if (!lies_in(device_memory, memory, bytes)) fail("memory of the device is wiped, and it is not of the device");
    return enqueue(handle, [=] {
        if (!lies_in(device_memory, memory, bytes)) fail("memory was freed before it was wiped");
        std::memset(memory, value, bytes);
    });
}
