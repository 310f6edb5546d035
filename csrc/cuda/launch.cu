// The GPU's loops: over items, over rows that eight lanes share, and over groups of a program whose block works
// together.
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

template <class Kernel>
__global__ void for_each_row(Kernel kernel, std::int64_t rows) {
    const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * (blockDim.x / row_lanes);
    const LanesOfAWarp lanes{static_cast<int>(threadIdx.x % 32)};
    for (std::int64_t row = (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / row_lanes; row < rows;
         row += step) {
        kernel(lanes, row);
    }
}

template <class Program>
__global__ void for_each_group(Program program) {
    // Raw bytes: shared memory cannot be constructed.
    alignas(16) __shared__ unsigned char bytes[sizeof(typename Program::Memory)];
    auto& memory = *reinterpret_cast<typename Program::Memory*>(bytes);
    program(CudaBlock{static_cast<int>(threadIdx.x), static_cast<int>(blockDim.x)},
            static_cast<std::int64_t>(blockIdx.x), memory);
}

std::int64_t blocks_for(std::int64_t threads) {
    return smaller((threads + threads_per_block - 1) / threads_per_block, most_blocks);
}

cudaLaunchConfig_t grid_of(std::int64_t blocks, void* stream) {
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(static_cast<unsigned>(blocks));
    config.blockDim = dim3(threads_per_block);
    config.stream = static_cast<cudaStream_t>(stream);
    return config;
}

void require_launched(cudaError_t error) {
    if (error != cudaSuccess) {
        static_cast<void>(cudaGetLastError());  // or the next launch would be blamed for it
        throw CudaError(std::string("a CUDA launch failed: ") + cudaGetErrorString(error));
    }
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
    const cudaLaunchConfig_t config = grid_of(blocks_for(count), stream);
    require_launched(cudaLaunchKernelEx(&config, for_each_item<Kernel>, kernel, count));
}

#define PYLFR_INSTANTIATE(Kernel) template void launch_cuda<Kernel>(const Kernel&, std::int64_t, void*)
PYLFR_FOR_EACH_KERNEL(PYLFR_INSTANTIATE)
#undef PYLFR_INSTANTIATE

template <class Kernel>
void launch_rows_cuda(const Kernel& kernel, std::int64_t rows, void* stream) {
    const cudaLaunchConfig_t config = grid_of(blocks_for(rows * row_lanes), stream);
    require_launched(cudaLaunchKernelEx(&config, for_each_row<Kernel>, kernel, rows));
}

#define PYLFR_INSTANTIATE(Kernel) template void launch_rows_cuda<Kernel>(const Kernel&, std::int64_t, void*)
PYLFR_FOR_EACH_ROW_KERNEL(PYLFR_INSTANTIATE)
#undef PYLFR_INSTANTIATE

template <class Program>
void launch_blocks_cuda(const Program& program, std::int64_t groups, void* stream) {
    static_assert(sizeof(typename Program::Memory) <= 48 * 1024, "a block has 48 KiB of shared memory");
    if (groups > most_groups) throw CudaError("a launch has at most 2^31 - 1 blocks");
    const cudaLaunchConfig_t config = grid_of(groups, stream);
    require_launched(cudaLaunchKernelEx(&config, for_each_group<Program>, program));
}

#define PYLFR_INSTANTIATE(Program) template void launch_blocks_cuda<Program>(const Program&, std::int64_t, void*)
PYLFR_FOR_EACH_PROGRAM(PYLFR_INSTANTIATE)
#undef PYLFR_INSTANTIATE

}  // namespace pylfr
