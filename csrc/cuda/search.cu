// The scan of all references on CUDA, as fast as memory can be read.
//
// `scan_rows`: a row of chunks is read by `lanes` neighbouring lanes, 16 bytes each, so that a warp reads whole rows in
// one piece; a lane asks for four rows before it multiplies, and the four are added up together. `scan_bytes`, for five
// probes of int8 and more: tensor cores multiply 32 rows by up to 32 probes. In both a warp keeps the best 32 of each
// probe, one a lane, in registers or in shared memory.
#include <cuda_runtime_api.h>

#include <string>

#include "cuda/dynamic_shared.hpp"
#include "cuda/mma.hpp"
#include "kernels/shortlist.hpp"
#include "ops/search_index.hpp"

namespace pylfr {

namespace {

using Key = unsigned long long;

constexpr unsigned all_lanes = 0xffffffffu;
constexpr int scan_threads = scan_warps * 32;
constexpr int bytes_warps = 8, bytes_threads = bytes_warps * 32;
constexpr int bytes_rows = 32;            // that a warp multiplies at once
constexpr int most_probes_of_bytes = 32;  // of a block
constexpr int most_passes = 4;            // over the same rows at once

void check(cudaError_t error, const char* what) {
    if (error == cudaSuccess) return;
    static_cast<void>(cudaGetLastError());  // or the next launch would be blamed for it
    throw CudaError(std::string(what) + " failed: " + cudaGetErrorString(error));
}

// The row, or the last one for a row that does not exist.
__device__ std::uint32_t row_within(const Scan& scan, std::int64_t row) {
    return static_cast<std::uint32_t>(smaller(row, scan.count - 1));
}

// References are read once: they should not push anything else out of the caches.
__device__ Chunk read_once(const Scan& scan, std::uint32_t row, int chunk) {
    const Chunk* at = scan.references + static_cast<std::int64_t>(row) * scan.chunks + chunk;
    const uint4 words = __ldcs(reinterpret_cast<const uint4*>(at));
    return Chunk{{words.x, words.y, words.z, words.w}};
}

// Puts a key that all lanes know into the warp's list: sorted, best first, one key a lane.
__device__ void insert(Key& list, Key key, int lane) {
    const int place = __popc(__ballot_sync(all_lanes, list >= key));
    const Key left = __shfl_up_sync(all_lanes, list, 1);
    if (lane > place) {
        list = left;
    } else if (lane == place) {
        list = key;
    }
}

// The keys of those lanes that `is_offered` names, into the warp's list.
__device__ void offer(Key& list, Key key, bool is_offered, int lane) {
    const Key last = __shfl_sync(all_lanes, list, 31);
    for (unsigned left = __ballot_sync(all_lanes, is_offered && key > last); left != 0; left &= left - 1) {
        insert(list, __shfl_sync(all_lanes, key, __ffs(static_cast<int>(left)) - 1), lane);
    }
}

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
    // Neighbouring turns are other blocks': a block's list has room for few of neighbouring rows, and there may be few.
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

// What a block of `scan_bytes` shares. A warp's list of a probe is sorted, best first; `limits` is the score from which
// on a row may still enter it; `scores` of 8 probes and 32 rows, padded so that no two lanes write into one bank.
struct BytesMemory {
    static constexpr int row_stride = 36;

    Key* lists;     // [probes_at_once, bytes_warps, list_length]
    Chunk* probes;  // [probes_at_once, stride]
    float* limits;  // [bytes_warps, probes_at_once]
    float* scores;  // [bytes_warps, 8, row_stride]
    float* scales;  // [probes_at_once]

    __device__ BytesMemory(unsigned char* memory, int probes_at_once, int stride)
        : lists(reinterpret_cast<Key*>(memory)),
          probes(reinterpret_cast<Chunk*>(lists + probes_at_once * bytes_warps * list_length)),
          limits(reinterpret_cast<float*>(probes + probes_at_once * stride)),
          scores(limits + bytes_warps * probes_at_once),
          scales(scores + bytes_warps * 8 * row_stride) {}

    static int bytes(int probes_at_once, int stride) {
        return probes_at_once * bytes_warps * list_length * static_cast<int>(sizeof(Key)) +
               probes_at_once * stride * static_cast<int>(sizeof(Chunk)) +
               (bytes_warps * probes_at_once + bytes_warps * 8 * row_stride + probes_at_once) *
                   static_cast<int>(sizeof(float));
    }
};

// Chunks from one probe to the next: four more than a multiple of eight, so that the probes of neighbouring lanes lie
// in other banks.
__host__ __device__ int bytes_stride(int chunks) {
    const int whole = (chunks + 3) / 4 * 4;
    return whole / 4 % 2 == 0 ? whole + 4 : whole;
}

// No row below the worst of the warps' `list_length / bytes_warps`-th best is among the block's best: so many are above
// it. With the warps in step.
__device__ void share_limits(const BytesMemory& memory, int probes_at_once) {
    constexpr int place = list_length / bytes_warps - 1;
    __syncthreads();
    for (int p = static_cast<int>(threadIdx.x); p < probes_at_once; p += bytes_threads) {
        Key least = ~Key{0};
        for (int w = 0; w < bytes_warps; ++w) {
            least = smaller(least, memory.lists[(p * bytes_warps + w) * list_length + place]);
        }
        if (least == 0) continue;
        for (int w = 0; w < bytes_warps; ++w) {
            float& limit = memory.limits[w * probes_at_once + p];
            limit = larger(limit, score_of(least));
        }
    }
    __syncthreads();
}

// The chunks of four neighbouring lanes are taken for bytes 0 to 63 of a row, twice 32 for two products: which byte is
// which does not matter to a sum, as long as rows and probes agree. Neighbouring blocks read the same rows for other
// probes, `passes` of them at about the same time, so that memory is read once.
template <int tiles>
__global__ void __launch_bounds__(bytes_threads, 2) scan_bytes(Scan scan, int first_probe, int passes) {
    constexpr int probes_at_once = 8 * tiles;
    const int block = static_cast<int>(blockIdx.x) / passes,
              own_first = first_probe + static_cast<int>(blockIdx.x) % passes * probes_at_once;
    const int present = smaller(probes_at_once, scan.probe_count - own_first);
    const int whole = (scan.chunks + 3) / 4 * 4, stride = bytes_stride(scan.chunks);
    const BytesMemory memory(dynamic_shared(), probes_at_once, stride);
    const int thread = static_cast<int>(threadIdx.x);
    for (int i = thread; i < probes_at_once * stride; i += bytes_threads) {
        const int p = i / stride, c = i % stride;
        const bool is_there = p < present && c < scan.chunks;
        memory.probes[i] = is_there ? scan.probes[static_cast<std::int64_t>(own_first + p) * scan.chunks + c] : Chunk{};
    }
    for (int i = thread; i < probes_at_once * bytes_warps * list_length; i += bytes_threads) memory.lists[i] = 0;
    // Into the list of a probe that does not exist no score enters.
    for (int i = thread; i < probes_at_once * bytes_warps; i += bytes_threads) {
        memory.limits[i] = i % probes_at_once < present ? -INFINITY : INFINITY;
    }
    if (thread < probes_at_once)
        memory.scales[thread] = thread < present ? scan.probe_scales[own_first + thread] : 0.0f;
    __syncthreads();

    const int lane = thread % 32, warp = thread / 32;
    const int group = lane / 4, quarter = lane % 4;
    float* limits = memory.limits + warp * probes_at_once;
    float* scores = memory.scores + warp * 8 * BytesMemory::row_stride;

    const std::int64_t turn_rows = static_cast<std::int64_t>(bytes_rows) * scan.blocks;
    std::int64_t first = static_cast<std::int64_t>(block) * bytes_rows;
    for (int turn = 1; first < scan.count; ++turn, first += turn_rows * bytes_warps) {
        const std::int64_t base = first + warp * turn_rows;
        if (base < scan.count) {
            // Rows group, group + 8, group + 16 and group + 24: the first two are one product's, the others another's.
            std::uint32_t rows[4];
#pragma unroll
            for (int r = 0; r < 4; ++r) rows[r] = row_within(scan, base + 8 * r + group);
            int sums[2][tiles][4] = {};
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
                            multiply_bytes(sums[m][t], of_rows, of_probes);
                        }
                    }
                }
            }
            float row_scale[4];
#pragma unroll
            for (int r = 0; r < 4; ++r) row_scale[r] = scan.scales[rows[r]];
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
                        score[side][r] = Bytes::score(sums[r / 2][t][2 * (r % 2) + side], row_scale[r], probe_scale);
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
                        scores[(2 * quarter + side) * BytesMemory::row_stride + 8 * r + group] = score[side][r];
                    }
                }
                __syncwarp();
#pragma unroll 1
                for (int p = 0; p < 8; ++p) {
                    if (((p % 2 == 0 ? entering[0] : entering[1]) & 0x11111111u << (p / 2)) == 0) continue;
                    const float own = scores[p * BytesMemory::row_stride + lane];
                    const std::int64_t row = base + lane;
                    Key* at = memory.lists + ((8 * t + p) * bytes_warps + warp) * list_length + lane;
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
        // Ever more rarely: what half of the rows have shown is known.
        if ((turn & (turn - 1)) == 0) share_limits(memory, probes_at_once);
    }

    __syncthreads();
    write_lists<bytes_warps>(scan, memory.lists, own_first, present, block, lane, warp);
}

// A kernel with what it needs: threads, rows that a warp takes in one turn, probes of a block, groups of probes that
// are searched for by neighbouring blocks, and bytes of shared memory beyond the kernel's own.
struct Choice {
    void (*kernel)(Scan, int, int);
    int threads, turn_rows, probes, passes, shared_bytes;
};

template <class Format, int lanes>
Choice rows_choice(int probes) {
    constexpr int turn_rows = rows_at_once * (32 / lanes);
    // One probe alone needs fewer registers, and most searches are of few.
    if (probes == 1) return {scan_rows<Format, lanes, 1>, scan_threads, turn_rows, 1, 1, 0};
    if (probes <= 4) return {scan_rows<Format, lanes, 4>, scan_threads, turn_rows, 4, 1, 0};
    return {scan_rows<Format, lanes, most_probes_at_once>, scan_threads, turn_rows, most_probes_at_once, 1, 0};
}

template <int tiles>
Choice tiles_choice(int chunks, int passes) {
    constexpr int probes = 8 * tiles;
    return {
        scan_bytes<tiles>, bytes_threads, bytes_rows, probes, passes, BytesMemory::bytes(probes, bytes_stride(chunks))};
}

template <int lanes>
Choice bytes_choice(int chunks, int probes) {
    if (probes <= 4) return rows_choice<Bytes, lanes>(probes);
    if (probes <= 8) return tiles_choice<1>(chunks, 1);
    if (probes <= 16) return tiles_choice<2>(chunks, 1);
    const int passes = (probes + most_probes_of_bytes - 1) / most_probes_of_bytes;
    return tiles_choice<most_probes_of_bytes / 8>(chunks, smaller(passes, most_passes));
}

Choice choose(Precision precision, int chunks, int probes) {
    const int lanes = scan_lanes(precision, chunks);
    if (precision == Precision::float32) return rows_choice<Floats, 32>(probes);
    if (precision == Precision::float16) {
        return lanes == 16 ? rows_choice<Halves, 16>(probes) : rows_choice<Halves, 32>(probes);
    }
    return lanes == 8    ? bytes_choice<8>(chunks, probes)
           : lanes == 16 ? bytes_choice<16>(chunks, probes)
                         : bytes_choice<32>(chunks, probes);
}

// More shared memory than 48 KB is had only by those who ask.
void allow_shared_bytes(const Choice& choice) {
    check(cudaFuncSetAttribute(choice.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, choice.shared_bytes),
          "asking for a scan's shared memory");
}

}  // namespace

int scan_blocks_cuda(Precision precision, int chunks, int probes, std::int64_t count) {
    int device = 0, processors = 0, each = 0;
    check(cudaGetDevice(&device), "asking for the current CUDA device");
    check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), "counting processors");
    const Choice choice = choose(precision, chunks, probes);
    allow_shared_bytes(choice);
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, choice.kernel, choice.threads, choice.shared_bytes),
          "asking how many blocks fit");
    const std::int64_t most = larger(processors * larger(each, 1) / choice.passes, 1);
    return static_cast<int>(larger<std::int64_t>(1, smaller(most, (count + choice.turn_rows - 1) / choice.turn_rows)));
}

void scan_cuda(Precision precision, const Scan& scan, void* stream) {
    if (scan.count == 0) {  // no row ends a warp's list: the lists are made empty here
        zero_bytes(scan.lists, Device::cuda, sizeof(std::uint64_t) * list_length * scan.blocks * scan.probe_count,
                   stream);
        zero_bytes(scan.bounds, Device::cuda, sizeof(std::uint64_t) * scan.blocks * scan.probe_count, stream);
        return;
    }
    cudaLaunchConfig_t config{};
    config.stream = static_cast<cudaStream_t>(stream);
    for (int first = 0; first < scan.probe_count;) {
        const Choice choice = choose(precision, scan.chunks, scan.probe_count - first);
        allow_shared_bytes(choice);
        config.gridDim = dim3(static_cast<unsigned>(scan.blocks * choice.passes));
        config.blockDim = dim3(static_cast<unsigned>(choice.threads));
        config.dynamicSmemBytes = static_cast<std::size_t>(choice.shared_bytes);
        check(cudaLaunchKernelEx(&config, choice.kernel, scan, first, choice.passes), "launching a scan");
        note_launch();
        first += choice.probes * choice.passes;
    }
}

}  // namespace pylfr
