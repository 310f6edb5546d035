// References on a device, searched there.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "core/tensor.hpp"
#include "kernels/shortlist.hpp"

namespace pylfr {

// The most references that one search gives a probe, and the longest template.
constexpr std::int64_t most_shortlisted = 128;
constexpr std::int64_t most_numbers = 1024;

// Blocks that fill the device once.
int scan_blocks_cuda(Precision precision, int probes_at_once, int probe_bytes);
void scan_cuda(Precision precision, const Scan& scan, void* stream);

// float32 references kept whole, beside a coarse copy where the precision is another. Searches may run at once, each on
// its own stream, after the stream that built it has been waited for.
class SearchIndex {
 public:
    // Throws std::invalid_argument for more than an index can hold. To be asked before one is made.
    static void require(std::int64_t count, std::int64_t dimension);

    SearchIndex(std::int64_t count, std::int64_t dimension, Precision precision, std::shared_ptr<Stream> stream);

    // Overwrites the references before their memory goes back to the system.
    ~SearchIndex();
    SearchIndex(const SearchIndex&) = delete;
    SearchIndex& operator=(const SearchIndex&) = delete;

    // Takes over `rows` float32 [n, dimension] of the host as references `start` on.
    void fill(const float* rows, std::int64_t start, std::int64_t n);

    // [probes, 2 * kept + 2], as ScoreAgain writes it, queued on the stream; copies of probes are wiped on it too.
    Tensor search(const Tensor& probes, std::int64_t kept, const std::shared_ptr<Stream>& stream) const;

    // [probes, count]: every exact score.
    Tensor score_all(const Tensor& probes, const std::shared_ptr<Stream>& stream) const;

    // The length of the most that rounding took from a reference; waits for the stream.
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
