// The CPU's loop over the items of a kernel.
#include <memory>

#include "core/device.hpp"
#include "kernels/all.hpp"

namespace pylfr {

template <class Kernel>
void launch_cpu(const Kernel& kernel, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) kernel(i);
}

template <class Kernel>
void launch_rows_cpu(const Kernel& kernel, std::int64_t rows) {
    for (std::int64_t row = 0; row < rows; ++row) kernel(LanesOfOneThread{}, row);
}

template <class Program>
void launch_blocks_cpu(const Program& program, std::int64_t groups) {
    const auto memory = std::make_unique<typename Program::Memory>();
    for (std::int64_t group = 0; group < groups; ++group) program(OneThread{}, group, *memory);
}

#define PYLFR_INSTANTIATE(Kernel) template void launch_cpu<Kernel>(const Kernel&, std::int64_t)
PYLFR_FOR_EACH_KERNEL(PYLFR_INSTANTIATE)
#undef PYLFR_INSTANTIATE

#define PYLFR_INSTANTIATE(Kernel) template void launch_rows_cpu<Kernel>(const Kernel&, std::int64_t)
PYLFR_FOR_EACH_ROW_KERNEL(PYLFR_INSTANTIATE)
#undef PYLFR_INSTANTIATE

#define PYLFR_INSTANTIATE(Program) template void launch_blocks_cpu<Program>(const Program&, std::int64_t)
PYLFR_FOR_EACH_PROGRAM(PYLFR_INSTANTIATE)
#undef PYLFR_INSTANTIATE

}  // namespace pylfr
