// Shared memory whose size is known at the launch.
#pragma once

namespace pylfr {

__device__ __forceinline__ unsigned char* dynamic_shared() {
    extern __shared__ __align__(16) unsigned char memory[];
    return memory;
}

}  // namespace pylfr
