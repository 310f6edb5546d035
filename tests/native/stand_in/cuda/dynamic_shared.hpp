// Shared memory whose size is known at the launch: as much as a block of sm_90 may have.
#pragma once

namespace pylfr {

inline unsigned char* dynamic_shared() {
    alignas(16) static unsigned char memory[stand_in::most_shared_bytes];
    return memory;
}

}  // namespace pylfr
