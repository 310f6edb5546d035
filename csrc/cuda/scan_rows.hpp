// The scan without tensor cores: a row of chunks is read by `lanes` neighbouring lanes, 16 bytes each, so that a warp
// reads whole rows in one piece; a lane asks for four rows before it multiplies, and the four are added up together.
// Lists are in registers.
#pragma once

#include "cuda/scan_lists.hpp"

namespace pylfr {

constexpr int scan_threads = scan_warps * 32;

// Four rows' sums, spread over `lanes` lanes, added up with 6 shuffles where 20 would be needed one by one: lanes give
// away half of their rows in each of two steps. A quarter of the lanes each then holds a row, see `row_of_quarter`. The
// pairs, and so the bits, are those of adding each row by itself.
template <int lanes, class Sum>
__device__ Sum add_up(const Sum (&sums)[rows_at_once], int lane) {
    static_assert(rows_at_once == 4 && lanes >= 8);
    const bool is_upper = (lane & (lanes / 2)) != 0, is_odd = (lane & (lanes / 4)) != 0;
    Sum even = is_upper ? sums[2] : sums[0], odd = is_upper ? sums[3] : sums[1];
    even += __shfl_xor_sync(all_lanes, is_upper ? sums[0] : sums[2], lanes / 2);
    odd += __shfl_xor_sync(all_lanes, is_upper ? sums[1] : sums[3], lanes / 2);
    Sum sum = is_odd ? odd : even;
    sum += __shfl_xor_sync(all_lanes, is_odd ? even : odd, lanes / 4);
#pragma unroll
    for (int apart = lanes / 8; apart > 0; apart /= 2) sum += __shfl_xor_sync(all_lanes, sum, apart);
    return sum;
}

template <int lanes>
__device__ int row_of_quarter(int lane) {
    return lane % lanes / (lanes / 4);
}

template <class Format, int lanes, int probes_at_once>
__global__ void __launch_bounds__(scan_threads, probes_at_once == 1 ? 4 : 2)
    scan_rows(Scan scan, int first_probe, int) {
    union Shared {
        Chunk probes[probes_at_once * most_numbers / Format::numbers * Format::probe_chunks];
        Key lists[probes_at_once * scan_warps * list_length];
    };
    alignas(16) __shared__ unsigned char bytes[sizeof(Shared)];
    Shared& shared = *reinterpret_cast<Shared*>(bytes);
    const int probe_chunks = scan.chunks * Format::probe_chunks;
    const int present = smaller(probes_at_once, scan.probe_count - first_probe);
    const Chunk* own = scan.probes + static_cast<std::int64_t>(first_probe) * probe_chunks;
    for (int i = threadIdx.x; i < probes_at_once * probe_chunks; i += scan_threads) {
        shared.probes[i] = i < present * probe_chunks ? own[i] : Chunk{};
    }
    __syncthreads();

    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    constexpr int rows_a_warp = 32 / lanes, turn = rows_at_once * rows_a_warp;
    // Neighbouring turns go to different blocks, so that many good rows side by side do not compete for one list.
    const std::int64_t turn_rows = static_cast<std::int64_t>(turn) * gridDim.x;
    Key lists[probes_at_once];
#pragma unroll
    for (int p = 0; p < probes_at_once; ++p) lists[p] = 0;

    for (std::int64_t base = warp * turn_rows + static_cast<std::int64_t>(blockIdx.x) * turn; base < scan.count;
         base += turn_rows * scan_warps) {
        std::uint32_t rows[rows_at_once];
#pragma unroll
        for (int r = 0; r < rows_at_once; ++r) rows[r] = row_within(scan, base + r * rows_a_warp + lane / lanes);
        const std::int64_t own_row = base + row_of_quarter<lanes>(lane) * rows_a_warp + lane / lanes;
        const float row_scale = scan.scales == nullptr ? 0.0f : scan.scales[row_within(scan, own_row)];
        typename Format::Sum sums[probes_at_once][rows_at_once] = {};
#pragma unroll 1
        for (int c = lane % lanes; c < scan.chunks; c += lanes) {
            Chunk chunk[rows_at_once];
#pragma unroll
            for (int r = 0; r < rows_at_once; ++r) chunk[r] = read_once(scan, rows[r], c);
#pragma unroll
            for (int p = 0; p < probes_at_once; ++p) {
                const Chunk* probe = shared.probes + p * probe_chunks + c * Format::probe_chunks;
#pragma unroll
                for (int r = 0; r < rows_at_once; ++r) Format::add(sums[p][r], chunk[r], probe);
            }
        }
#pragma unroll
        for (int p = 0; p < probes_at_once; ++p) {
            const typename Format::Sum sum = add_up<lanes>(sums[p], lane);
            if (p >= present) break;
            const float probe_scale = scan.probe_scales == nullptr ? 0.0f : scan.probe_scales[first_probe + p];
            const Key key = key_of(Format::score(sum, row_scale, probe_scale), static_cast<std::uint32_t>(own_row));
            offer(lists[p], key, own_row < scan.count && lane % (lanes / 4) == 0, lane);
        }
    }

    __syncthreads();  // nobody reads the probes any more
#pragma unroll
    for (int p = 0; p < probes_at_once; ++p) shared.lists[(p * scan_warps + warp) * list_length + lane] = lists[p];
    __syncthreads();
    write_lists<scan_warps>(scan, shared.lists, first_probe, present, static_cast<int>(blockIdx.x), lane, warp);
}

}  // namespace pylfr
