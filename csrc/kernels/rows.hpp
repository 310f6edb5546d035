// Rows of numbers, each worked on by eight lanes: of a warp on a device, of one thread on the CPU.
//
// The order of summation is fixed: lane l adds up what lies at l, l + 8, l + 16, ..., then the lanes are added in
// pairs. So every schedule gives the same bits.
#pragma once

#include "core/portable.hpp"

namespace pylfr {

constexpr int row_lanes = 8;

PYLFR_HD float sum_of_lanes(const float* lanes) {
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

PYLFR_HD float dot(const float* a, const float* b, std::int64_t dimension) {
    float lanes[row_lanes] = {};
    std::int64_t d = 0;
    for (; d + row_lanes <= dimension; d += row_lanes) {
        for (int l = 0; l < row_lanes; ++l) lanes[l] += a[d + l] * b[d + l];
    }
    for (int l = 0; d + l < dimension; ++l) lanes[l] += a[d + l] * b[d + l];
    return sum_of_lanes(lanes);
}

// All eight lanes in one thread.
struct LanesOfOneThread {
    bool is_first() const { return true; }

    float dot(const float* a, const float* b, std::int64_t dimension) const { return pylfr::dot(a, b, dimension); }

    // Does `work(l)` for each lane.
    template <class Work>
    void each(const Work& work) const {
        for (int l = 0; l < row_lanes; ++l) work(l);
    }

    // Adds up, or finds the largest of, what `part(l)` gives for each lane.
    template <class Part>
    float sum(const Part& part) const {
        float lanes[row_lanes];
        for (int l = 0; l < row_lanes; ++l) lanes[l] = part(l);
        return sum_of_lanes(lanes);
    }
    template <class Part>
    float largest(const Part& part) const {
        float most = 0.0f;
        for (int l = 0; l < row_lanes; ++l) most = larger(most, part(l));
        return most;
    }
};

#ifdef __CUDACC__
// One lane of eight neighbours in a warp; all eight work on the same row.
struct LanesOfAWarp {
    int lane;  // 0 to 31

    __device__ bool is_first() const { return lane % row_lanes == 0; }

    __device__ float dot(const float* a, const float* b, std::int64_t dimension) const {
        return sum([&](int l) {
            float own = 0.0f;
            for (std::int64_t d = l; d < dimension; d += row_lanes) own += a[d] * b[d];
            return own;
        });
    }

    template <class Work>
    __device__ void each(const Work& work) const {
        work(lane % row_lanes);
    }

    template <class Part>
    __device__ float sum(const Part& part) const {
        float own = part(lane % row_lanes);
        for (int apart = row_lanes / 2; apart > 0; apart /= 2) own += __shfl_xor_sync(neighbours(), own, apart);
        return own;
    }

    template <class Part>
    __device__ float largest(const Part& part) const {
        float own = larger(0.0f, part(lane % row_lanes));
        for (int apart = row_lanes / 2; apart > 0; apart /= 2) {
            own = larger(own, __shfl_xor_sync(neighbours(), own, apart));
        }
        return own;
    }

 private:
    __device__ unsigned neighbours() const { return 0xffu << (lane / row_lanes * row_lanes); }
};
#endif

}  // namespace pylfr
