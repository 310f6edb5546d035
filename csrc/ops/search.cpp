// Exact search: every probe against every reference, block by block; the best k references or entries kept on the way.
#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "cpu/simd.hpp"
#include "kernels/search.hpp"
#include "ops/ops.hpp"

namespace pylfr {

namespace {

struct Hit {
    float score;
    std::int64_t row;
};

bool is_better(const Hit& a, const Hit& b) {
    return a.score > b.score || (a.score == b.score && a.row < b.row);
}

// The best k of what is offered, rows in rising order. NaN is never better than anything.
class Best {
 public:
    explicit Best(std::size_t k) : k_(k) { hits_.reserve(k); }

    // Whether only what scores more than `floor` still counts.
    bool is_full() const { return hits_.size() == k_; }
    float floor() const { return hits_.front().score; }

    void offer(float score, std::int64_t row) {
        if (is_full()) {
            if (!(score > floor())) return;
            std::pop_heap(hits_.begin(), hits_.end(), is_better);
            hits_.back() = Hit{score, row};
        } else {
            if (score != score) return;
            hits_.push_back(Hit{score, row});
        }
        std::push_heap(hits_.begin(), hits_.end(), is_better);
    }

    void write(float* scores, std::int64_t* rows) {
        std::sort(hits_.begin(), hits_.end(), is_better);
        for (std::size_t i = 0; i < k_; ++i) {
            scores[i] = i < hits_.size() ? hits_[i].score : -1.0f;
            rows[i] = i < hits_.size() ? hits_[i].row : -1;
        }
    }

 private:
    std::size_t k_;
    std::vector<Hit> hits_;  // a heap, the worst in front
};

// The best k entries of what is offered, references of one entry together and entries in rising order: each entry
// counts once, by its best reference.
class BestEntries {
 public:
    BestEntries(std::size_t k, const std::int64_t* entry) : best_(k), entry_(entry) {}

    bool is_full() const { return best_.is_full(); }
    float floor() const { return best_.floor(); }

    void offer(float score, std::int64_t row) {
        if (is_full() && !(score > floor())) return;
        if (entry_[row] != current_) {
            close();
            current_ = entry_[row];
        }
        if (score > score_) score_ = score;
    }

    void write(float* scores, std::int64_t* entries) {
        close();
        best_.write(scores, entries);
    }

 private:
    static constexpr float none = -std::numeric_limits<float>::infinity();

    void close() {
        if (score_ > none) best_.offer(score_, current_);
        score_ = none;
    }

    Best best_;
    const std::int64_t* entry_;
    std::int64_t current_ = std::numeric_limits<std::int64_t>::min();
    float score_ = none;
};

// Offers the scores of the rows from `first` on. Most are below what is kept already, which is tested for several at
// once.
template <typename Collector>
void offer_all(Collector& best, const float* scores, std::int64_t count, std::int64_t first) {
    constexpr std::int64_t stride = 16;
    std::int64_t r = 0;
    for (; r < count && !best.is_full(); ++r) best.offer(scores[r], first + r);
    for (; r + stride <= count; r += stride) {
        const float floor = best.floor();
        int above = 0;
        for (std::int64_t i = 0; i < stride; ++i) above |= scores[r + i] > floor;
        if (above == 0) continue;
        for (std::int64_t i = 0; i < stride; ++i) best.offer(scores[r + i], first + r + i);
    }
    for (; r < count; ++r) best.offer(scores[r], first + r);
}

constexpr std::int64_t block_floats = 32 * 1024;  // references that stay in the L2 cache while probes pass
constexpr std::int64_t probes_at_once = 256;      // so that their scores of one block take bounded memory

// Offers every score to its probe's collector, and writes what the collectors kept: k scores and numbers a probe.
template <typename Collector>
void search(const float* probes, std::int64_t probe_count, const float* references, std::int64_t reference_count,
            std::int64_t dimension, std::int64_t k, std::vector<Collector> best, float* scores, std::int64_t* numbers) {
    const std::int64_t fitting = std::max<std::int64_t>(8, block_floats / std::max<std::int64_t>(1, dimension));
    const std::int64_t block = std::min(fitting, std::max<std::int64_t>(1, reference_count));
    std::vector<float> products(std::min(probe_count, probes_at_once) * block);
    for (std::int64_t first = 0; first < probe_count; first += probes_at_once) {
        const std::int64_t together = std::min(probes_at_once, probe_count - first);
        for (std::int64_t start = 0; start < reference_count; start += block) {
            const std::int64_t count = std::min(block, reference_count - start);
            hot_loops().dot_products(probes + first * dimension, together, references + start * dimension, count,
                                     dimension, products.data(), block);
            for (std::int64_t p = 0; p < together; ++p) {
                offer_all(best[first + p], products.data() + p * block, count, start);
            }
        }
    }
    for (std::int64_t p = 0; p < probe_count; ++p) {
        std::fill(scores + p * k, scores + (p + 1) * k, -1.0f);
        std::fill(numbers + p * k, numbers + (p + 1) * k, std::int64_t{-1});
        best[p].write(scores + p * k, numbers + p * k);
    }
}

}  // namespace

void normalise(float* rows, float* lengths, std::int64_t count, std::int64_t dimension, Place place) {
    launch_rows(Normalise{rows, lengths, dimension}, count, place);
}

void apply_linear(const float* features, std::int64_t count, const float* weight, const float* bias,
                  std::int64_t inputs, std::int64_t outputs, float* out) {
    hot_loops().dot_products(features, count, weight, outputs, inputs, out, outputs);
    for (std::int64_t row = 0; row < count; ++row) {
        for (std::int64_t i = 0; i < outputs; ++i) out[row * outputs + i] += bias[i];
    }
}

void search_exact(const float* probes, std::int64_t probe_count, const float* references, std::int64_t reference_count,
                  std::int64_t dimension, std::int64_t k, float* scores, std::int64_t* rows) {
    const auto most = static_cast<std::size_t>(std::min(k, reference_count));
    search(probes, probe_count, references, reference_count, dimension, k, std::vector<Best>(probe_count, Best(most)),
           scores, rows);
}

EntryNumbers::EntryNumbers(const std::int64_t* numbers, std::int64_t count) : numbers_(numbers, numbers + count) {
    const auto fall = std::is_sorted_until(numbers_.begin(), numbers_.end());
    if (fall == numbers_.end()) return;
    throw std::invalid_argument("entry must be in rising order, got " + std::to_string(*fall) + " after " +
                                std::to_string(*(fall - 1)) + " at " + std::to_string(fall - numbers_.begin()));
}

void search_entries(const float* probes, std::int64_t probe_count, const float* references, const EntryNumbers& entry,
                    std::int64_t dimension, std::int64_t k, float* scores, std::int64_t* entries) {
    const auto most = static_cast<std::size_t>(std::min(k, entry.count()));
    search(probes, probe_count, references, entry.count(), dimension, k,
           std::vector<BestEntries>(probe_count, BestEntries(most, entry.begin())), scores, entries);
}

}  // namespace pylfr
