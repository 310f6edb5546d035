// The CPU's loop over the items of a kernel.
#include "device.hpp"
#include "kernels/all.hpp"

namespace pylfr {

template <class Kernel>
void launch_cpu(const Kernel& kernel, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) kernel(i);
}

#define PYLFR_INSTANTIATE(Kernel) template void launch_cpu<Kernel>(const Kernel&, std::int64_t)
PYLFR_FOR_EACH_KERNEL(PYLFR_INSTANTIATE)
#undef PYLFR_INSTANTIATE

}  // namespace pylfr
