// The scan by tensor cores, of int8 or of halves: they multiply 32 rows by up to 32 probes. Lists are in shared memory.
#pragma once

#include <cmath>

#include "cuda/dynamic_shared.hpp"
#include "cuda/mma.hpp"
#include "cuda/scan_lists.hpp"

namespace pylfr {

constexpr int tile_warps = 8, tile_threads = tile_warps * 32;
constexpr int tile_rows = 32;  // that a warp multiplies at once

// What a block of `scan_tiles` shares. A warp's list of a probe is sorted, best first; `limits` is the score from which
// on a row may still enter it; `scores` of 8 probes and 32 rows, padded so that no two lanes write into one bank.
struct TilesMemory {
    static constexpr int row_stride = 36;

    Key* lists;     // [probes_at_once, tile_warps, list_length]
    Chunk* probes;  // [probes_at_once, stride]
    float* limits;  // [tile_warps, probes_at_once]
    float* scores;  // [tile_warps, 8, row_stride]
    float* scales;  // [probes_at_once]

    __device__ TilesMemory(unsigned char* memory, int probes_at_once, int stride)
        : lists(reinterpret_cast<Key*>(memory)),
          probes(reinterpret_cast<Chunk*>(lists + probes_at_once * tile_warps * list_length)),
          limits(reinterpret_cast<float*>(probes + probes_at_once * stride)),
          scores(limits + tile_warps * probes_at_once),
          scales(scores + tile_warps * 8 * row_stride) {}

    static int bytes(int probes_at_once, int stride) {
        return probes_at_once * tile_warps * list_length * static_cast<int>(sizeof(Key)) +
               probes_at_once * stride * static_cast<int>(sizeof(Chunk)) +
               (tile_warps * probes_at_once + tile_warps * 8 * row_stride + probes_at_once) *
                   static_cast<int>(sizeof(float));
    }
};

// Chunks from one probe to the next: four more than a multiple of eight, so that the probes of neighbouring lanes lie
// in other banks.
__host__ __device__ inline int tile_stride(int chunks) {
    const int whole = (chunks + 3) / 4 * 4;
    return whole / 4 % 2 == 0 ? whole + 4 : whole;
}

// No row below the worst of the warps' `list_length / tile_warps`-th best is among the block's best: so many are above
// it. With the warps synchronised.
__device__ inline void share_limits(const TilesMemory& memory, int probes_at_once) {
    constexpr int place = list_length / tile_warps - 1;
    __syncthreads();
    for (int p = static_cast<int>(threadIdx.x); p < probes_at_once; p += tile_threads) {
        Key least = ~Key{0};
        for (int w = 0; w < tile_warps; ++w) {
            least = smaller(least, memory.lists[(p * tile_warps + w) * list_length + place]);
        }
        if (least == 0) continue;
        for (int w = 0; w < tile_warps; ++w) {
            float& limit = memory.limits[w * probes_at_once + p];
            limit = larger(limit, score_of(least));
        }
    }
    __syncthreads();
}

// The chunks of four neighbouring lanes are taken for bytes 0 to 63 of a row, twice 32 for two products: which number
// is which does not matter to a sum, as long as rows and probes agree. Neighbouring blocks read the same rows for other
// probes, `passes` of them at about the same time, so that memory is read once.
template <class Format, int tiles>
__global__ void __launch_bounds__(tile_threads, 2) scan_tiles(Scan scan, int first_probe, int passes) {
    constexpr int probes_at_once = 8 * tiles;
    const int block = static_cast<int>(blockIdx.x) / passes,
              own_first = first_probe + static_cast<int>(blockIdx.x) % passes * probes_at_once;
    const int present = smaller(probes_at_once, scan.probe_count - own_first);
    const int whole = (scan.chunks + 3) / 4 * 4, stride = tile_stride(scan.chunks);
    const TilesMemory memory(dynamic_shared(), probes_at_once, stride);
    const int thread = static_cast<int>(threadIdx.x);
    for (int i = thread; i < probes_at_once * stride; i += tile_threads) {
        const int p = i / stride, c = i % stride;
        const bool is_there = p < present && c < scan.chunks;
        memory.probes[i] = is_there ? scan.probes[static_cast<std::int64_t>(own_first + p) * scan.chunks + c] : Chunk{};
    }
    for (int i = thread; i < probes_at_once * tile_warps * list_length; i += tile_threads) memory.lists[i] = 0;
    // Into the list of a probe that does not exist no score enters.
    for (int i = thread; i < probes_at_once * tile_warps; i += tile_threads) {
        memory.limits[i] = i % probes_at_once < present ? -INFINITY : INFINITY;
    }
    if (thread < probes_at_once)
        memory.scales[thread] = Format::is_scaled && thread < present ? scan.probe_scales[own_first + thread] : 0.0f;
    __syncthreads();

    const int lane = thread % 32, warp = thread / 32;
    const int group = lane / 4, quarter = lane % 4;
    float* limits = memory.limits + warp * probes_at_once;
    float* scores = memory.scores + warp * 8 * TilesMemory::row_stride;

    const std::int64_t turn_rows = static_cast<std::int64_t>(tile_rows) * scan.blocks;
    std::int64_t first = static_cast<std::int64_t>(block) * tile_rows;
    for (int turn = 1; first < scan.count; ++turn, first += turn_rows * tile_warps) {
        const std::int64_t base = first + warp * turn_rows;
        if (base < scan.count) {
            // Rows group, group + 8, group + 16 and group + 24: the first two are one product's, the others another's.
            std::uint32_t rows[4];
#pragma unroll
            for (int r = 0; r < 4; ++r) rows[r] = row_within(scan, base + 8 * r + group);
            typename Format::Sum sums[2][tiles][4] = {};
#pragma unroll 2
            for (int c = quarter; c < whole; c += 4) {
                Chunk chunk[4];
#pragma unroll
                for (int r = 0; r < 4; ++r) chunk[r] = c < scan.chunks ? read_once(scan, rows[r], c) : Chunk{};
#pragma unroll
                for (int t = 0; t < tiles; ++t) {
                    const Chunk probe = memory.probes[(8 * t + group) * stride + c];
#pragma unroll
                    for (int half = 0; half < 4; half += 2) {
                        const std::uint32_t of_probes[2] = {probe.word[half], probe.word[half + 1]};
#pragma unroll
                        for (int m = 0; m < 2; ++m) {
                            const Chunk &upper = chunk[2 * m], &lower = chunk[2 * m + 1];
                            const std::uint32_t of_rows[4] = {upper.word[half], lower.word[half], upper.word[half + 1],
                                                              lower.word[half + 1]};
                            multiply_tile(sums[m][t], of_rows, of_probes);
                        }
                    }
                }
            }
            float row_scale[4];
#pragma unroll
            for (int r = 0; r < 4; ++r) row_scale[r] = Format::is_scaled ? scan.scales[rows[r]] : 0.0f;
#pragma unroll
            for (int t = 0; t < tiles; ++t) {
                // This lane's scores: four rows of probes 2 * quarter and 2 * quarter + 1 of the tile.
                unsigned entering[2];
                float score[2][4];
#pragma unroll
                for (int side = 0; side < 2; ++side) {
                    const int p = 8 * t + 2 * quarter + side;
                    const float probe_scale = memory.scales[p], limit = limits[p];
                    bool may_enter = false;
#pragma unroll
                    for (int r = 0; r < 4; ++r) {
                        score[side][r] = Format::score(sums[r / 2][t][2 * (r % 2) + side], row_scale[r], probe_scale);
                        may_enter = may_enter || score[side][r] >= limit;
                    }
                    entering[side] = __ballot_sync(all_lanes, may_enter);
                }
                if ((entering[0] | entering[1]) == 0) continue;
                // Rare after the first turns. Turned, so that a lane has a row, the warp takes probe by probe.
#pragma unroll
                for (int side = 0; side < 2; ++side) {
#pragma unroll
                    for (int r = 0; r < 4; ++r) {
                        scores[(2 * quarter + side) * TilesMemory::row_stride + 8 * r + group] = score[side][r];
                    }
                }
                __syncwarp();
#pragma unroll 1
                for (int p = 0; p < 8; ++p) {
                    if (((p % 2 == 0 ? entering[0] : entering[1]) & 0x11111111u << (p / 2)) == 0) continue;
                    const float own = scores[p * TilesMemory::row_stride + lane];
                    const std::int64_t row = base + lane;
                    Key* at = memory.lists + ((8 * t + p) * tile_warps + warp) * list_length + lane;
                    Key list = *at;
                    offer(list, key_of(own, static_cast<std::uint32_t>(row)),
                          row < scan.count && own >= limits[8 * t + p], lane);
                    *at = list;
                    const Key last = __shfl_sync(all_lanes, list, 31);
                    if (lane == 0 && last != 0) limits[8 * t + p] = larger(limits[8 * t + p], score_of(last));
                }
                __syncwarp();
            }
        }
        // At turns 1, 2, 4, 8, ...: the limits rise ever more slowly.
        if ((turn & (turn - 1)) == 0) share_limits(memory, probes_at_once);
    }

    __syncthreads();
    write_lists<tile_warps>(scan, memory.lists, own_first, present, block, lane, warp);
}

}  // namespace pylfr
