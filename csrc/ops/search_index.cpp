#include "ops/search_index.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace pylfr {

namespace {

Element element_for(Precision precision) {
    return precision == Precision::float32   ? Element::float32
           : precision == Precision::float16 ? Element::float16
                                             : Element::int8;
}

int numbers_of(Precision precision) {
    return precision == Precision::float32   ? Floats::numbers
           : precision == Precision::float16 ? Halves::numbers
                                             : Bytes::numbers;
}

template <class T>
T* of(const Tensor& tensor) {
    return static_cast<T*>(tensor.memory());
}

std::int64_t padded_to(std::int64_t dimension) {
    constexpr std::int64_t whole = Bytes::numbers;  // a chunk of the narrowest format, and of all others
    return (dimension + whole - 1) / whole * whole;
}

// The schedule of a warp, one lane after the other.
template <class Format>
void scan_warp(const Scan& scan, int lanes_a_row, int probe, int block, int warp, std::uint64_t* list) {
    const Chunk* sought = scan.probes + static_cast<std::int64_t>(probe) * scan.chunks * Format::probe_chunks;
    const std::int64_t turn = static_cast<std::int64_t>(rows_at_once) * (32 / lanes_a_row);
    const std::int64_t turn_rows = turn * scan.blocks;
    for (std::int64_t base = warp * turn_rows + block * turn; base < scan.count; base += turn_rows * scan_warps) {
        for (std::int64_t row = base; row < std::min(base + turn, scan.count); ++row) {
            typename Format::Sum lanes[32] = {};
            for (int lane = 0; lane < lanes_a_row; ++lane) {
                for (int c = lane; c < scan.chunks; c += lanes_a_row) {
                    Format::add(lanes[lane], scan.references[row * scan.chunks + c], sought + c * Format::probe_chunks);
                }
            }
            for (int apart = lanes_a_row / 2; apart > 0; apart /= 2) {
                for (int lane = 0; lane < apart; ++lane) lanes[lane] += lanes[lane + apart];
            }
            const float score = Format::score(lanes[0], scan.scales == nullptr ? 0.0f : scan.scales[row],
                                              scan.probe_scales == nullptr ? 0.0f : scan.probe_scales[probe]);
            const std::uint64_t key = key_of(score, static_cast<std::uint32_t>(row));
            if (key <= list[list_length - 1]) continue;
            std::uint64_t* place = std::lower_bound(list, list + list_length, key, std::greater<>());
            std::move_backward(place, list + list_length - 1, list + list_length);
            *place = key;
        }
    }
}

template <class Format>
void scan_cpu(const Scan& scan, int lanes_a_row) {
    for (int probe = 0; probe < scan.probe_count; ++probe) {
        for (int block = 0; block < scan.blocks; ++block) {
            std::uint64_t keys[scan_warps * list_length] = {};
            std::uint64_t bound = 0;
            for (int warp = 0; warp < scan_warps; ++warp) {
                std::uint64_t* list = keys + warp * list_length;
                scan_warp<Format>(scan, lanes_a_row, probe, block, warp, list);
                bound = std::max(bound, list[list_length - 1]);
            }
            std::sort(std::begin(keys), std::end(keys), std::greater<>());
            const std::int64_t at = static_cast<std::int64_t>(probe) * scan.blocks + block;
            std::copy_n(keys, list_length, scan.lists + at * list_length);
            scan.bounds[at] = std::max(bound, keys[list_length]);
        }
    }
}

// Lists of a probe: one a block, and no more blocks than have a row.
std::int32_t blocks_of(Precision precision, int chunks, int probes, std::int64_t count, Place place) {
    if (place.device == Device::cuda) return scan_blocks_cuda(precision, chunks, probes, count);
    constexpr std::int64_t most = 70;
    const std::int64_t turn = std::int64_t{rows_at_once} * (32 / scan_lanes(precision, chunks));
    return static_cast<std::int32_t>(std::max<std::int64_t>(1, std::min(most, (count + turn - 1) / turn)));
}

void scan_at(Precision precision, const Scan& scan, Place place) {
    if (place.device == Device::cuda) return scan_cuda(precision, scan, place.stream);
    const int lanes = scan_lanes(precision, scan.chunks);
    if (precision == Precision::float32) return scan_cpu<Floats>(scan, lanes);
    if (precision == Precision::float16) {
        const bool is_rounded = precision_of_probes(precision, scan.probe_count) == Precision::float16;
        return is_rounded ? scan_cpu<RoundedHalves>(scan, lanes) : scan_cpu<Halves>(scan, lanes);
    }
    scan_cpu<Bytes>(scan, lanes);
}

}  // namespace

void SearchIndex::require(std::int64_t count, std::int64_t dimension) {
    if (count < 0 || count >= std::int64_t{1} << 31) {
        throw std::invalid_argument("an index holds 0 to 2^31 - 1 references, got " + std::to_string(count));
    }
    if (dimension < 1 || dimension > most_numbers) {
        throw std::invalid_argument("an index takes templates of 1 to " + std::to_string(most_numbers) +
                                    " numbers, got " + std::to_string(dimension));
    }
}

SearchIndex::SearchIndex(std::int64_t count, std::int64_t dimension, Precision precision,
                         std::shared_ptr<Stream> stream)
    : count_(count),
      dimension_(dimension),
      padded_(padded_to(dimension)),
      precision_(precision),
      stream_(std::move(stream)),
      exact_({count, padded_}, Element::float32, stream_, false),
      coarse_(precision == Precision::float32 ? exact_
                                              : Tensor({count, padded_}, element_for(precision), stream_, false)),
      scales_({precision == Precision::int8 ? count : 0}, Element::float32, stream_, false),
      error_({1}, Element::float32, stream_, false) {
    error_.wipe(*stream_);
}

SearchIndex::~SearchIndex() {
    try {
        exact_.wipe(*stream_);
        coarse_.wipe(*stream_);
        stream_->synchronise();
    } catch (...) {  // the device has failed: nobody reads its memory any more
    }
}

void SearchIndex::fill(const float* rows, std::int64_t start, std::int64_t n) {
    const Place place = stream_->place();
    const Tensor part = exact_.rows(start, start + n);
    if (padded_ == dimension_) {
        copy_bytes(part.memory(), place.device, rows, Device::cpu, part.bytes(), place.stream);
    } else {
        std::vector<float> padded(static_cast<std::size_t>(n * padded_));
        for (std::int64_t i = 0; i < n; ++i) {
            std::copy_n(rows + i * dimension_, dimension_, padded.data() + i * padded_);
        }
        copy_bytes(part.memory(), place.device, padded.data(), Device::cpu, part.bytes(), place.stream);
        stream_->synchronise();  // before `padded` goes
    }
    if (precision_ != Precision::float32) {
        const Tensor into = coarse_.rows(start, start + n);
        float* scales = precision_ == Precision::int8 ? of<float>(scales_) + start : nullptr;
        launch_rows(Quantise{of<float>(part), padded_, padded_, padded_, precision_, into.memory(), scales, nullptr,
                             of<float>(error_)},
                    n, place);
    }
    stream_->synchronise();
}

float SearchIndex::most_error() const {
    float error = 0.0f;
    copy_bytes(&error, Device::cpu, error_.memory(), stream_->device(), sizeof(error), stream_->handle());
    stream_->synchronise();
    return error;
}

std::int64_t SearchIndex::bytes() const {
    const auto own = static_cast<std::int64_t>(exact_.bytes() + scales_.bytes());
    return precision_ == Precision::float32 ? own : own + static_cast<std::int64_t>(coarse_.bytes());
}

Tensor SearchIndex::search(const Tensor& probes, std::int64_t kept, const std::shared_ptr<Stream>& stream) const {
    const Place place = stream->place();
    const std::int64_t count = probes.shape()[0];
    Tensor out({count, 2 * kept + 2}, Element::float32, stream);
    if (count == 0) return out;

    const bool is_int8 = precision_ == Precision::int8;
    const Precision rounded = precision_of_probes(precision_, static_cast<int>(count));
    const Tensor sought({count, padded_}, element_for(rounded), stream);
    const Tensor sought_scales({count}, Element::float32, stream), errors({count}, Element::float32, stream);
    launch_rows(Quantise{of<float>(probes), dimension_, dimension_, padded_, rounded, sought.memory(),
                         of<float>(sought_scales), of<float>(errors), nullptr},
                count, place);

    const auto chunks = static_cast<std::int32_t>(padded_ / numbers_of(precision_));
    std::int32_t lists_in = blocks_of(precision_, chunks, static_cast<int>(count), count_, place);
    Tensor lists({count, lists_in, list_length}, Element::int64, stream);
    Tensor bounds({count, lists_in}, Element::int64, stream);
    scan_at(precision_,
            Scan{of<Chunk>(coarse_), is_int8 ? of<float>(scales_) : nullptr, count_, chunks, of<Chunk>(sought),
                 is_int8 ? of<float>(sought_scales) : nullptr, static_cast<std::int32_t>(count), lists_in,
                 of<std::uint64_t>(lists), of<std::uint64_t>(bounds)},
            place);
    sought.wipe(*stream);

    std::int32_t length = list_length;
    for (bool is_last = false; !is_last;) {
        const std::int32_t fan = MergeLists::most_keys / length, lists_out = (lists_in + fan - 1) / fan;
        is_last = lists_out == 1;
        Tensor merged({count, lists_out, kept}, Element::int64, stream);
        Tensor merged_bounds({count, lists_out}, Element::int64, stream);
        launch_blocks(
            MergeLists{of<std::uint64_t>(lists), of<std::uint64_t>(bounds), lists_in, length, fan, lists_out,
                       static_cast<std::int32_t>(kept), of<std::uint64_t>(merged), of<std::uint64_t>(merged_bounds)},
            count * lists_out, place);
        lists = merged;
        bounds = merged_bounds;
        lists_in = lists_out;
        length = static_cast<std::int32_t>(kept);
    }
    launch_rows(
        ScoreAgain{of<float>(probes), of<float>(exact_), dimension_, padded_, of<std::uint64_t>(lists),
                   of<std::uint64_t>(bounds), of<float>(errors), static_cast<std::int32_t>(kept), of<float>(out)},
        count * kept, place);
    return out;
}

Tensor SearchIndex::score_all(const Tensor& probes, const std::shared_ptr<Stream>& stream) const {
    const std::int64_t count = probes.shape()[0];
    Tensor out({count, count_}, Element::float32, stream);
    launch_rows(ScoreAll{of<float>(probes), of<float>(exact_), dimension_, padded_, count_, of<float>(out)},
                count * count_, stream->place());
    return out;
}

}  // namespace pylfr
