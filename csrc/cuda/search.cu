// The scan of all references on CUDA: as fast as memory can be read, for up to eight probes at once.
//
// A row of chunks is read by `lanes_a_row` neighbouring lanes, 16 bytes each, so that a warp reads whole rows in one
// piece; a lane asks for four rows before it multiplies. Each warp keeps its best 32 in registers, one a lane. Limits:
// more than eight probes read the references again for each eight; rows shorter than 512 bytes share a warp; a warp
// that reads fewer rows than 16 bytes times 32 lanes hold leaves lanes idle (dimensions that are no power of two).
#include <cuda_runtime_api.h>

#include <string>

#include "kernels/shortlist.hpp"
#include "ops/search_index.hpp"

namespace pylfr {

namespace {

constexpr unsigned all_lanes = 0xffffffffu;
constexpr int scan_threads = scan_warps * 32;

void check(cudaError_t error, const char* what) {
    if (error != cudaSuccess) throw CudaError(std::string(what) + " failed: " + cudaGetErrorString(error));
}

// References are read once: they should not push anything else out of the caches.
__device__ Chunk read_once(const Chunk* at) {
    const uint4 words = __ldcs(reinterpret_cast<const uint4*>(at));
    return Chunk{{words.x, words.y, words.z, words.w}};
}

// The rows that the lanes of a warp have scored, one key a row, into the warp's list: sorted, one key a lane.
__device__ void offer(unsigned long long& list, unsigned long long key, int lane, int lanes_a_row) {
    if (!__any_sync(all_lanes, key > __shfl_sync(all_lanes, list, 31))) return;
    for (int from = 0; from < 32; from += lanes_a_row) {
        const unsigned long long next = __shfl_sync(all_lanes, key, from);
        if (next <= __shfl_sync(all_lanes, list, 31)) continue;  // the same in every lane
        const int place = __popc(__ballot_sync(all_lanes, list >= next));
        const unsigned long long left = __shfl_up_sync(all_lanes, list, 1);
        if (lane > place) {
            list = left;
        } else if (lane == place) {
            list = next;
        }
    }
}

template <class Format, int probes_at_once>
__global__ void __launch_bounds__(scan_threads) scan_rows(Scan scan, int first_probe) {
    extern __shared__ uint4 shared[];  // the probes
    __shared__ unsigned long long keys[scan_threads];
    __shared__ unsigned long long most_left_out;
    auto* probes = reinterpret_cast<Chunk*>(shared);
    const int probe_chunks = scan.chunks * Format::probe_chunks;
    const int present = smaller(probes_at_once, scan.probe_count - first_probe);
    const Chunk* own = scan.probes + static_cast<std::int64_t>(first_probe) * probe_chunks;
    for (int i = threadIdx.x; i < probes_at_once * probe_chunks; i += scan_threads) {
        probes[i] = i < present * probe_chunks ? own[i] : Chunk{};
    }
    __syncthreads();

    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const int rows_a_warp = 32 / scan.lanes_a_row;
    const int own_chunk = lane % scan.lanes_a_row, own_row = lane / scan.lanes_a_row;
    const std::int64_t turn = static_cast<std::int64_t>(rows_at_once) * rows_a_warp;
    const std::int64_t step = turn * gridDim.x * scan_warps;
    unsigned long long lists[probes_at_once];
#pragma unroll
    for (int p = 0; p < probes_at_once; ++p) lists[p] = 0;

    for (std::int64_t base = (static_cast<std::int64_t>(blockIdx.x) * scan_warps + warp) * turn; base < scan.count;
         base += step) {
        typename Format::Sum sums[probes_at_once][rows_at_once];
#pragma unroll
        for (int p = 0; p < probes_at_once; ++p) {
#pragma unroll
            for (int r = 0; r < rows_at_once; ++r) sums[p][r] = 0;
        }
        for (int c = own_chunk; c < scan.chunks; c += scan.lanes_a_row) {
            Chunk chunk[rows_at_once];
#pragma unroll
            for (int r = 0; r < rows_at_once; ++r) {
                const std::int64_t row = smaller(base + r * rows_a_warp + own_row, scan.count - 1);
                chunk[r] = read_once(scan.references + row * scan.chunks + c);
            }
#pragma unroll
            for (int p = 0; p < probes_at_once; ++p) {
                const Chunk* probe = probes + p * probe_chunks + c * Format::probe_chunks;
#pragma unroll
                for (int r = 0; r < rows_at_once; ++r) Format::add(sums[p][r], chunk[r], probe);
            }
        }
        float row_scale[rows_at_once];
#pragma unroll
        for (int r = 0; r < rows_at_once; ++r) {
            const std::int64_t row = smaller(base + r * rows_a_warp + own_row, scan.count - 1);
            row_scale[r] = scan.scales == nullptr ? 0.0f : scan.scales[row];
        }
#pragma unroll
        for (int p = 0; p < probes_at_once; ++p) {
            if (p >= present) break;
            const float probe_scale = scan.probe_scales == nullptr ? 0.0f : scan.probe_scales[first_probe + p];
#pragma unroll
            for (int r = 0; r < rows_at_once; ++r) {
                typename Format::Sum sum = sums[p][r];
                for (int apart = scan.lanes_a_row / 2; apart > 0; apart /= 2) {
                    sum += __shfl_xor_sync(all_lanes, sum, apart);
                }
                const std::int64_t row = base + r * rows_a_warp + own_row;
                const float score = Format::score(sum, row_scale[r], probe_scale);
                const std::uint64_t key = row < scan.count ? key_of(score, static_cast<std::uint32_t>(row)) : 0;
                offer(lists[p], key, lane, scan.lanes_a_row);
            }
        }
    }

    const CudaBlock block{static_cast<int>(threadIdx.x), scan_threads};
#pragma unroll
    for (int p = 0; p < probes_at_once; ++p) {
        if (p >= present) break;
        __syncthreads();  // the turn before has read what is written now
        keys[threadIdx.x] = lists[p];
        if (threadIdx.x == 0) most_left_out = 0;
        __syncthreads();
        if (lane == 31) atomicMax(&most_left_out, lists[p]);
        sort_keys(block, reinterpret_cast<std::uint64_t*>(keys), scan_threads);
        const std::int64_t at = static_cast<std::int64_t>(first_probe + p) * gridDim.x + blockIdx.x;
        if (threadIdx.x < list_length) scan.lists[at * list_length + threadIdx.x] = keys[threadIdx.x];
        if (threadIdx.x == 0) scan.bounds[at] = larger(most_left_out, keys[list_length]);
    }
}

template <class Format>
void scan_all(const Scan& scan, cudaStream_t stream) {
    const int bytes = scan.chunks * Format::probe_chunks * static_cast<int>(sizeof(Chunk));
    for (int first = 0; first < scan.probe_count;) {
        const int left = scan.probe_count - first;
        // One probe alone needs fewer registers, and most searches are of few.
        if (left == 1) {
            scan_rows<Format, 1><<<scan.blocks, scan_threads, bytes, stream>>>(scan, first);
            first += 1;
        } else if (left <= 4) {
            scan_rows<Format, 4><<<scan.blocks, scan_threads, 4 * bytes, stream>>>(scan, first);
            first += 4;
        } else {
            scan_rows<Format, most_probes_at_once>
                <<<scan.blocks, scan_threads, most_probes_at_once * bytes, stream>>>(scan, first);
            first += most_probes_at_once;
        }
        check(cudaGetLastError(), "launching a scan");
        note_launch();
    }
}

template <class Format>
int blocks_for(int probes_at_once, int probe_bytes) {
    int device = 0, processors = 0, each = 0;
    check(cudaGetDevice(&device), "asking for the current CUDA device");
    check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), "counting processors");
    const std::size_t shared = static_cast<std::size_t>(probe_bytes) * (probes_at_once == 1   ? 1
                                                                        : probes_at_once <= 4 ? 4
                                                                                              : most_probes_at_once);
    const cudaError_t error =
        probes_at_once == 1
            ? cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, scan_rows<Format, 1>, scan_threads, shared)
        : probes_at_once <= 4
            ? cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, scan_rows<Format, 4>, scan_threads, shared)
            : cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, scan_rows<Format, most_probes_at_once>, scan_threads,
                                                            shared);
    check(error, "asking how many blocks fit");
    return processors * larger(each, 1);
}

}  // namespace

int scan_blocks_cuda(Precision precision, int probes_at_once, int probe_bytes) {
    if (precision == Precision::float32) return blocks_for<Floats>(probes_at_once, probe_bytes);
    if (precision == Precision::float16) return blocks_for<Halves>(probes_at_once, probe_bytes);
    return blocks_for<Bytes>(probes_at_once, probe_bytes);
}

void scan_cuda(Precision precision, const Scan& scan, void* stream) {
    if (scan.count == 0) {  // no row ends a warp's list: the lists are made empty here
        zero_bytes(scan.lists, Device::cuda, sizeof(std::uint64_t) * list_length * scan.blocks * scan.probe_count,
                   stream);
        zero_bytes(scan.bounds, Device::cuda, sizeof(std::uint64_t) * scan.blocks * scan.probe_count, stream);
        return;
    }
    if (precision == Precision::float32) return scan_all<Floats>(scan, static_cast<cudaStream_t>(stream));
    if (precision == Precision::float16) return scan_all<Halves>(scan, static_cast<cudaStream_t>(stream));
    scan_all<Bytes>(scan, static_cast<cudaStream_t>(stream));
}

}  // namespace pylfr
