// A search index on a device.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "core/tensor.hpp"
#include "kernels/shortlist.hpp"

namespace pylfr {

// The most references that one search gives a probe.
constexpr std::int64_t most_shortlisted = 128;

// The number of blocks that fill the device once, for `count` references of `chunks` chunks and this many probes; not
// more than have a row.
int scan_blocks_cuda(Precision precision, int chunks, int probes, std::int64_t count);
void scan_cuda(Precision precision, const Scan& scan, void* stream);

// The float32 references, beside a coarse copy for another precision. Searches may run concurrently, each on its own
// stream, once the stream that built the index was synchronised.
class SearchIndex {
 public:
    // Throws std::invalid_argument for more than an index can hold.
    static void require(std::int64_t count, std::int64_t dimension);

    SearchIndex(std::int64_t count, std::int64_t dimension, Precision precision, std::shared_ptr<Stream> stream);

    // Overwrites the references before their memory goes back to the system.
    ~SearchIndex();
    SearchIndex(const SearchIndex&) = delete;
    SearchIndex& operator=(const SearchIndex&) = delete;

    // Copies `rows`, float32 [n, dimension] on the host, into references `start` to `start + n - 1`.
    void fill(const float* rows, std::int64_t start, std::int64_t n);

    // [probes, 2 * kept + 2], as ScoreAgain writes it, queued on the stream; copies of probes are wiped there, too.
    Tensor search(const Tensor& probes, std::int64_t kept, const std::shared_ptr<Stream>& stream) const;

    // [probes, count]: every exact score.
    Tensor score_all(const Tensor& probes, const std::shared_ptr<Stream>& stream) const;

    // The largest rounding error of a reference, as a length; waits for the stream.
    float most_error() const;

    std::int64_t count() const { return count_; }
    std::int64_t dimension() const { return dimension_; }
    std::int64_t bytes() const;

 private:
    std::int64_t count_, dimension_, padded_;
    Precision precision_;
    std::shared_ptr<Stream> stream_;
    Tensor exact_;   // float32 [count, padded]
    Tensor coarse_;  // the same in the precision; `exact_` itself for float32
    Tensor scales_;  // float32 [count] for int8, else [0]
    Tensor error_;   // float32 [1]
};

}  // namespace pylfr
