// The GPU's loop over the items of a kernel, and what CUDA is there to run it.
#include <cuda_runtime_api.h>

#include <string>

#include "device.hpp"
#include "kernels/all.hpp"

namespace pylfr {

namespace {

constexpr int threads_per_block = 256;
constexpr std::int64_t most_blocks = 1 << 20;

template <class Kernel>
__global__ void for_each_item(Kernel kernel, std::int64_t count) {
    const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
    for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
        kernel(i);
    }
}

}  // namespace

bool built_with_cuda() {
    return true;
}

int cuda_device_count() {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaErrorInsufficientDriver || error == cudaErrorNoDevice) return 0;
    if (error != cudaSuccess)
        throw CudaError(std::string("CUDA devices cannot be counted: ") + cudaGetErrorString(error));
    return count;
}

template <class Kernel>
void launch_cuda(const Kernel& kernel, std::int64_t count, void* stream) {
    if (cuda_device_count() == 0) throw CudaError("no CUDA device was found: check the driver, or use device \"cpu\"");
    const std::int64_t wanted = (count + threads_per_block - 1) / threads_per_block;
    const auto blocks = static_cast<unsigned>(wanted < most_blocks ? wanted : most_blocks);
    for_each_item<<<blocks, threads_per_block, 0, static_cast<cudaStream_t>(stream)>>>(kernel, count);
    const cudaError_t error = cudaGetLastError();
    if (error != cudaSuccess) throw CudaError(std::string("a CUDA launch failed: ") + cudaGetErrorString(error));
}

#define PYLFR_INSTANTIATE(Kernel) template void launch_cuda<Kernel>(const Kernel&, std::int64_t, void*)
PYLFR_FOR_EACH_KERNEL(PYLFR_INSTANTIATE)
#undef PYLFR_INSTANTIATE

}  // namespace pylfr
