// What every scan does: reads references past the caches, and keeps a warp's best 32 of each probe, one a lane.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/shortlist.hpp"

namespace pylfr {

using Key = unsigned long long;

constexpr unsigned all_lanes = 0xffffffffu;

// The row, or the last one for a row that does not exist.
__device__ inline std::uint32_t row_within(const Scan& scan, std::int64_t row) {
    return static_cast<std::uint32_t>(smaller(row, scan.count - 1));
}

// References are read once: they should not push anything else out of the caches.
__device__ inline Chunk read_once(const Scan& scan, std::uint32_t row, int chunk) {
    const Chunk* at = scan.references + static_cast<std::int64_t>(row) * scan.chunks + chunk;
    const uint4 words = __ldcs(reinterpret_cast<const uint4*>(at));
    return Chunk{{words.x, words.y, words.z, words.w}};
}

// Puts a key that all lanes know into the warp's list: sorted, best first, one key a lane.
__device__ inline void insert(Key& list, Key key, int lane) {
    const int place = __popc(__ballot_sync(all_lanes, list >= key));
    const Key left = __shfl_up_sync(all_lanes, list, 1);
    if (lane > place) {
        list = left;
    } else if (lane == place) {
        list = key;
    }
}

// The keys of those lanes that `is_offered` names, into the warp's list.
__device__ inline void offer(Key& list, Key key, bool is_offered, int lane) {
    const Key last = __shfl_sync(all_lanes, list, 31);
    for (unsigned left = __ballot_sync(all_lanes, is_offered && key > last); left != 0; left &= left - 1) {
        insert(list, __shfl_sync(all_lanes, key, __ffs(static_cast<int>(left)) - 1), lane);
    }
}

// The warps' lists of a block, [probe, warp, 32], become the block's.
template <int warps>
__device__ void write_lists(const Scan& scan, const Key* lists, int first_probe, int present, int block, int lane,
                            int warp) {
    for (int p = warp; p < present; p += warps) {
        const Key* own = lists + p * warps * list_length;
        Key list = own[lane], bound = __shfl_sync(all_lanes, list, 31);
        for (int other = 1; other < warps; ++other) {
            const Key key = own[other * list_length + lane];
            bound = larger(bound, __shfl_sync(all_lanes, key, 31));
            offer(list, key, true, lane);
        }
        bound = larger(bound, __shfl_sync(all_lanes, list, 31));
        const std::int64_t at = static_cast<std::int64_t>(first_probe + p) * scan.blocks + block;
        scan.lists[at * list_length + lane] = list;
        if (lane == 0) scan.bounds[at] = bound;
    }
}

}  // namespace pylfr
