// What stands in for launch_cuda.cu in a build without CUDA: it says so.
#include "device.hpp"
#include "kernels/all.hpp"

namespace pylfr {

bool built_with_cuda() {
    return false;
}

int cuda_device_count() {
    return 0;
}

template <class Kernel>
void launch_cuda(const Kernel&, std::int64_t, void*) {
    throw CudaError("this build has no CUDA: build with -Ccmake.define.PYLFR_CUDA=ON");
}

#define PYLFR_INSTANTIATE(Kernel) template void launch_cuda<Kernel>(const Kernel&, std::int64_t, void*)
PYLFR_FOR_EACH_KERNEL(PYLFR_INSTANTIATE)
#undef PYLFR_INSTANTIATE

}  // namespace pylfr
