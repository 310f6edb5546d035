// Where work happens: a device and a stream on it. Nothing here moves data or falls back to another device.
#pragma once

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

template <class Kernel>
void launch_cpu(const Kernel& kernel, std::int64_t count);

// Throws CudaError where the build has no CUDA, where there is no device, or where the launch fails.
template <class Kernel>
void launch_cuda(const Kernel& kernel, std::int64_t count, void* stream);

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

}  // namespace pylfr
