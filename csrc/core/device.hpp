// Where work runs: a device and a stream on it. Nothing falls back to another device.
//
// These few functions are all that the rest of the core knows of CUDA. cuda/device.cu and cuda/launch.cu implement
// them; in a build without CUDA, cuda/unavailable.cpp throws. Work is queued in the current context, the primary one or
// a caller's own; none is created or reset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace pylfr {

enum class Device { cpu, cuda };

// The device and the stream that a call works on; the CPU has no stream.
struct Place {
    Device device = Device::cpu;
    void* stream = nullptr;
};

// Becomes pylfr.errors.CudaError.
struct CudaError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

bool built_with_cuda();

// Usable devices; 0 without a driver or a device. Throws CudaError for any other failure.
int cuda_device_count();

// Each throws CudaError with the reason, except the noexcept ones. None leaves an error behind in the runtime.
namespace cuda {

int current_device();
void* make_stream();
void destroy_stream(void* stream) noexcept;
void synchronise(void* stream);
void synchronise_all() noexcept;  // the whole device
void* make_event(bool is_timed);
void destroy_event(void* event) noexcept;
void record(void* event, void* stream);
void wait(void* stream, void* event);
void synchronise_event(void* event);
bool is_done(void* event);
float elapsed_ms(void* from, void* to);
void begin_capture(void* stream);
void* end_capture(void* stream);  // the graph of what was queued since, instantiated
void abandon_capture(void* stream) noexcept;
void launch_graph(void* graph, void* stream);
void destroy_graph(void* graph) noexcept;
void* allocate(std::size_t bytes);  // null where there is no room
void release(void* memory) noexcept;
void* allocate_pinned(std::size_t bytes);  // null where there is no room
void release_pinned(void* memory) noexcept;

}  // namespace cuda

// Queued on the stream where either end is on CUDA; done on return on the CPU. Pinned host memory must outlive the
// copy; the driver stages pageable memory itself.
void copy_bytes(void* to, Device to_device, const void* from, Device from_device, std::size_t bytes, void* stream);
void zero_bytes(void* memory, Device device, std::size_t bytes, void* stream);

template <class Kernel>
void launch_cpu(const Kernel& kernel, std::int64_t count);

// Throws CudaError where the build has no CUDA, where there is no device, or where the launch fails.
template <class Kernel>
void launch_cuda(const Kernel& kernel, std::int64_t count, void* stream);

// As launch_cpu and launch_cuda, for kernels whose rows are worked on by eight lanes (kernels/rows.hpp).
template <class Kernel>
void launch_rows_cpu(const Kernel& kernel, std::int64_t rows);
template <class Kernel>
void launch_rows_cuda(const Kernel& kernel, std::int64_t rows, void* stream);

// As launch_cpu and launch_cuda, for programs of a block of threads with memory that they share.
template <class Program>
void launch_blocks_cpu(const Program& program, std::int64_t groups);
template <class Program>
void launch_blocks_cuda(const Program& program, std::int64_t groups, void* stream);

// The number of kernels that this process has launched on a device.
std::int64_t cuda_launches();
void note_launch();

// Does `kernel(i)` for i in 0 .. count - 1, in any order.
template <class Kernel>
void launch(const Kernel& kernel, std::int64_t count, Place place) {
    if (count <= 0) return;
    if (place.device == Device::cuda) {
        launch_cuda(kernel, count, place.stream);
    } else {
        launch_cpu(kernel, count);
    }
}

// Does `kernel(lanes, row)` for rows 0 .. rows - 1, in any order.
template <class Kernel>
void launch_rows(const Kernel& kernel, std::int64_t rows, Place place) {
    if (rows <= 0) return;
    if (place.device == Device::cuda) {
        launch_rows_cuda(kernel, rows, place.stream);
    } else {
        launch_rows_cpu(kernel, rows);
    }
}

// Does `program(block, group, memory)` for groups 0 .. groups - 1, in any order.
template <class Program>
void launch_blocks(const Program& program, std::int64_t groups, Place place) {
    if (groups <= 0) return;
    if (place.device == Device::cuda) {
        launch_blocks_cuda(program, groups, place.stream);
    } else {
        launch_blocks_cpu(program, groups);
    }
}

}  // namespace pylfr
