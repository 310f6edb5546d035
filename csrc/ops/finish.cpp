#include "kernels/finish.hpp"
#include "core/tensor.hpp"
#include "ops/ops.hpp"

namespace pylfr {

namespace {

template <class Number>
void finish(const Finish& given, Place place) {
    const std::int64_t chunks = given.channels / FinishConvolution<Number>::numbers;
    launch(FinishConvolution<Number>{static_cast<Chunk*>(given.values), static_cast<const Chunk*>(given.bias),
                                     static_cast<const Chunk*>(given.shortcut), static_cast<const Chunk*>(given.slope),
                                     chunks},
           given.rows * chunks, place);
}

}  // namespace

void finish_convolution(const Finish& given, bool is_half, Place place) {
    if (is_half) {
        finish<std::uint16_t>(given, place);
    } else {
        finish<float>(given, place);
    }
}

}  // namespace pylfr
