// The GPU's loops: over the items of a kernel, and over the groups of a program whose threads work together.
#include <cuda_runtime_api.h>

#include <atomic>
#include <string>

#include "core/device.hpp"
#include "kernels/all.hpp"

namespace pylfr {

namespace {

constexpr int threads_per_block = 256;
constexpr std::int64_t most_blocks = 1 << 20;
constexpr std::int64_t most_groups = (std::int64_t{1} << 31) - 1;

std::atomic<std::int64_t> launches{0};

template <class Kernel>
__global__ void for_each_item(Kernel kernel, std::int64_t count) {
    const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
    for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
        kernel(i);
    }
}

template <class Program>
__global__ void for_each_group(Program program) {
    // Raw bytes: shared memory cannot be constructed.
    __shared__ alignas(16) unsigned char bytes[sizeof(typename Program::Memory)];
    auto& memory = *reinterpret_cast<typename Program::Memory*>(bytes);
    program(CudaBlock{static_cast<int>(threadIdx.x), static_cast<int>(blockDim.x)},
            static_cast<std::int64_t>(blockIdx.x), memory);
}

void require_launched() {
    const cudaError_t error = cudaGetLastError();
    if (error != cudaSuccess) throw CudaError(std::string("a CUDA launch failed: ") + cudaGetErrorString(error));
    note_launch();
}

}  // namespace

std::int64_t cuda_launches() {
    return launches;
}

void note_launch() {
    ++launches;
}

template <class Kernel>
void launch_cuda(const Kernel& kernel, std::int64_t count, void* stream) {
    const std::int64_t wanted = (count + threads_per_block - 1) / threads_per_block;
    const auto blocks = static_cast<unsigned>(wanted < most_blocks ? wanted : most_blocks);
    for_each_item<<<blocks, threads_per_block, 0, static_cast<cudaStream_t>(stream)>>>(kernel, count);
    require_launched();
}

#define PYLFR_INSTANTIATE(Kernel) template void launch_cuda<Kernel>(const Kernel&, std::int64_t, void*)
PYLFR_FOR_EACH_KERNEL(PYLFR_INSTANTIATE)
#undef PYLFR_INSTANTIATE

template <class Program>
void launch_blocks_cuda(const Program& program, std::int64_t groups, void* stream) {
    static_assert(sizeof(typename Program::Memory) <= 48 * 1024, "a block has 48 KiB of shared memory");
    if (groups > most_groups) throw CudaError("a launch has at most 2^31 - 1 blocks");
    for_each_group<<<static_cast<unsigned>(groups), threads_per_block, 0, static_cast<cudaStream_t>(stream)>>>(program);
    require_launched();
}

#define PYLFR_INSTANTIATE(Program) template void launch_blocks_cuda<Program>(const Program&, std::int64_t, void*)
PYLFR_FOR_EACH_PROGRAM(PYLFR_INSTANTIATE)
#undef PYLFR_INSTANTIATE

}  // namespace pylfr
