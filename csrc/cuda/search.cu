// The scan of all references on CUDA, as fast as memory can be read: which kernel, how many blocks, the launches.
#include <cuda_runtime_api.h>

#include <string>

#include "cuda/scan_rows.hpp"
#include "cuda/scan_tiles.hpp"
#include "ops/search_index.hpp"

namespace pylfr {

namespace {

constexpr int most_tiles = 4;   // of eight probes, of a block
constexpr int most_passes = 4;  // over the same rows at once

void check(cudaError_t error, const char* what) {
    if (error == cudaSuccess) return;
    static_cast<void>(cudaGetLastError());  // or the next launch would be blamed for it
    throw CudaError(std::string(what) + " failed: " + cudaGetErrorString(error));
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
    return {scan_rows<Format, lanes, few_probes>, scan_threads, turn_rows, few_probes, 1, 0};
}

Choice floats_choice(int probes) {
    if (probes <= few_probes) return rows_choice<Floats, 32>(probes);
    return {scan_rows<Floats, 32, most_probes_at_once>, scan_threads, rows_at_once, most_probes_at_once, 1, 0};
}

template <class Format, int tiles>
Choice tiles_of(int chunks, int passes) {
    constexpr int probes = 8 * tiles;
    const int shared_bytes = TilesMemory::bytes(probes, tile_stride(chunks));
    return {scan_tiles<Format, tiles>, tile_threads, tile_rows, probes, passes, shared_bytes};
}

// The most shared memory that a block of the current device may have.
int most_shared_bytes() {
    int device = 0, bytes = 0;
    check(cudaGetDevice(&device), "asking for the current CUDA device");
    check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "asking for shared memory");
    return bytes;
}

template <class Format, int tiles>
Choice passes_of(int chunks, int probes) {
    constexpr int each = 8 * tiles;
    return tiles_of<Format, tiles>(chunks, smaller((probes + each - 1) / each, most_passes));
}

template <class Format>
Choice tiles_choice(int chunks, int probes) {
    if (probes <= 8) return tiles_of<Format, 1>(chunks, 1);
    if (probes <= 16) return tiles_of<Format, 2>(chunks, 1);
    const Choice most = passes_of<Format, most_tiles>(chunks, probes);
    // Less than half of what Hopper has, on some: then half as many probes, in twice as many passes.
    return most.shared_bytes <= most_shared_bytes() ? most : passes_of<Format, most_tiles / 2>(chunks, probes);
}

// For `probes` that are left of a search, which come in the precision `sought`.
Choice choose(Precision precision, Precision sought, int chunks, int probes) {
    const int lanes = scan_lanes(precision, chunks);
    if (precision == Precision::float32) return floats_choice(probes);
    if (precision == Precision::float16) {
        if (sought == Precision::float16) return tiles_choice<RoundedHalves>(chunks, probes);
        return lanes == 16 ? rows_choice<Halves, 16>(probes) : rows_choice<Halves, 32>(probes);
    }
    if (probes > few_probes) return tiles_choice<Bytes>(chunks, probes);
    return lanes == 8    ? rows_choice<Bytes, 8>(probes)
           : lanes == 16 ? rows_choice<Bytes, 16>(probes)
                         : rows_choice<Bytes, 32>(probes);
}

// A kernel gets more than 48 KB of shared memory only on request.
void allow_shared_bytes(const Choice& choice) {
    check(cudaFuncSetAttribute(choice.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, choice.shared_bytes),
          "asking for a scan's shared memory");
}

}  // namespace

int scan_blocks_cuda(Precision precision, int chunks, int probes, std::int64_t count) {
    int device = 0, processors = 0, each = 0;
    check(cudaGetDevice(&device), "asking for the current CUDA device");
    check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), "counting processors");
    const Choice choice = choose(precision, precision_of_probes(precision, probes), chunks, probes);
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
    const Precision sought = precision_of_probes(precision, scan.probe_count);
    for (int first = 0; first < scan.probe_count;) {
        const Choice choice = choose(precision, sought, scan.chunks, scan.probe_count - first);
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
