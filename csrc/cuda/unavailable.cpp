// The CUDA half of a build without CUDA: every call fails and says so.
#include <cstring>

#include "core/device.hpp"
#include "kernels/all.hpp"
#include "ops/search_index.hpp"

namespace pylfr {

namespace {

[[noreturn]] void refuse() {
    throw CudaError("this build has no CUDA: build with -Ccmake.define.PYLFR_CUDA=ON");
}

}  // namespace

bool built_with_cuda() {
    return false;
}

int cuda_device_count() {
    return 0;
}

std::int64_t cuda_launches() {
    return 0;
}

void note_launch() {}

int scan_blocks_cuda(Precision, int, int, std::int64_t) {
    refuse();
}

void scan_cuda(Precision, const Scan&, void*) {
    refuse();
}

namespace cuda {

int current_device() {
    refuse();
}

void* make_stream() {
    refuse();
}

void destroy_stream(void*) noexcept {}

void synchronise(void*) {
    refuse();
}

void synchronise_all() noexcept {}

void begin_capture(void*) {
    refuse();
}

void* end_capture(void*) {
    refuse();
}

void abandon_capture(void*) noexcept {}

void launch_graph(void*, void*) {
    refuse();
}

void destroy_graph(void*) noexcept {}

void* make_event(bool) {
    refuse();
}

void destroy_event(void*) noexcept {}

void record(void*, void*) {
    refuse();
}

void wait(void*, void*) {
    refuse();
}

void synchronise_event(void*) {
    refuse();
}

bool is_done(void*) {
    refuse();
}

float elapsed_ms(void*, void*) {
    refuse();
}

void* allocate(std::size_t) {
    refuse();
}

void release(void*) noexcept {}

void* allocate_pinned(std::size_t) {
    refuse();
}

void release_pinned(void*) noexcept {}

}  // namespace cuda

void copy_bytes(void* to, Device to_device, const void* from, Device from_device, std::size_t bytes, void*) {
    if (to_device == Device::cuda || from_device == Device::cuda) refuse();
    if (bytes > 0) std::memcpy(to, from, bytes);
}

void zero_bytes(void* memory, Device device, std::size_t bytes, void*) {
    if (device == Device::cuda) refuse();
    if (bytes == 0) return;
    std::memset(memory, 0, bytes);
    // Tells the compiler that these zeros are read, so that it cannot optimise them away.
    __asm__ __volatile__("" : : "r"(memory) : "memory");
}

template <class Kernel>
void launch_cuda(const Kernel&, std::int64_t, void*) {
    refuse();
}

#define PYLFR_INSTANTIATE(Kernel) template void launch_cuda<Kernel>(const Kernel&, std::int64_t, void*)
PYLFR_FOR_EACH_KERNEL(PYLFR_INSTANTIATE)
#undef PYLFR_INSTANTIATE

template <class Kernel>
void launch_rows_cuda(const Kernel&, std::int64_t, void*) {
    refuse();
}

#define PYLFR_INSTANTIATE(Kernel) template void launch_rows_cuda<Kernel>(const Kernel&, std::int64_t, void*)
PYLFR_FOR_EACH_ROW_KERNEL(PYLFR_INSTANTIATE)
#undef PYLFR_INSTANTIATE

template <class Program>
void launch_blocks_cuda(const Program&, std::int64_t, void*) {
    refuse();
}

#define PYLFR_INSTANTIATE(Program) template void launch_blocks_cuda<Program>(const Program&, std::int64_t, void*)
PYLFR_FOR_EACH_PROGRAM(PYLFR_INSTANTIATE)
#undef PYLFR_INSTANTIATE

}  // namespace pylfr
