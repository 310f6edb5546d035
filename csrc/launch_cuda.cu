// The GPU's loop over the items of a kernel.
#include <cuda_runtime_api.h>

#include <atomic>
#include <string>

#include "device.hpp"
#include "kernels/all.hpp"

namespace pylfr {

namespace {

constexpr int threads_per_block = 256;
constexpr std::int64_t most_blocks = 1 << 20;

std::atomic<std::int64_t> launches{0};

template <class Kernel>
__global__ void for_each_item(Kernel kernel, std::int64_t count) {
    const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
    for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
        kernel(i);
    }
}

void require_launched() {
    const cudaError_t error = cudaGetLastError();
    if (error != cudaSuccess) throw CudaError(std::string("a CUDA launch failed: ") + cudaGetErrorString(error));
    ++launches;
}

}  // namespace

std::int64_t cuda_launches() {
    return launches;
}

template <class Kernel>
void launch_cuda(const Kernel& kernel, std::int64_t count, void* stream) {
    if (cuda_device_count() == 0) throw CudaError("no CUDA device was found: check the driver, or use device \"cpu\"");
    const std::int64_t wanted = (count + threads_per_block - 1) / threads_per_block;
    const auto blocks = static_cast<unsigned>(wanted < most_blocks ? wanted : most_blocks);
    for_each_item<<<blocks, threads_per_block, 0, static_cast<cudaStream_t>(stream)>>>(kernel, count);
    require_launched();
}

#define PYLFR_INSTANTIATE(Kernel) template void launch_cuda<Kernel>(const Kernel&, std::int64_t, void*)
PYLFR_FOR_EACH_KERNEL(PYLFR_INSTANTIATE)
#undef PYLFR_INSTANTIATE

}  // namespace pylfr
