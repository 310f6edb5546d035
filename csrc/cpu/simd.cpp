#include "cpu/simd.hpp"

#include <bit>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include "kernels/search.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#define PYLFR_X86 1
#else
#define PYLFR_X86 0
#endif

namespace pylfr {

static_assert(std::endian::native == std::endian::little, "a pair of 16-bit taps is loaded as one 32-bit word");

// The ABI of vectors wider than the instruction set differs between compilers' settings; none leaves this file.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace {

namespace plain {
#include "cpu/simd_loops.hpp"
}

#if PYLFR_X86
#pragma GCC push_options
#pragma GCC target("avx2")
namespace avx2 {
#include "cpu/simd_loops.hpp"
}
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,avx512f,avx512bw,avx512dq,avx512vl")
namespace avx512 {
#include "cpu/simd_loops.hpp"
}
#pragma GCC pop_options
#endif

HotLoops choose() {
    const char* named = std::getenv("PYLFR_SIMD");
    const std::string_view most = named == nullptr || *named == '\0' ? "avx512" : named;
    if (most != "avx512" && most != "avx2" && most != "plain") {
        throw std::invalid_argument("PYLFR_SIMD must be avx512, avx2 or plain, got " + std::string(most));
    }
#if PYLFR_X86
    const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (most == "avx512" && has_avx512)
        return {"avx512", avx512::letterbox_row, avx512::warp_row, avx512::dot_products};
    if (most != "plain" && __builtin_cpu_supports("avx2"))
        return {"avx2", avx2::letterbox_row, avx2::warp_row, avx2::dot_products};
#endif
    return {"plain", plain::letterbox_row, plain::warp_row, plain::dot_products};
}

}  // namespace

const HotLoops& hot_loops() {
    static const HotLoops chosen = choose();
    return chosen;
}

}  // namespace pylfr
