// Exact search: every probe against every reference, block by block, the best k kept on the way.
#include <algorithm>
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

    void offer(float score, std::int64_t row) {
        if (hits_.size() == k_) {
            if (!(score > hits_.front().score)) return;
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

constexpr std::int64_t block_floats = 32 * 1024;  // references that stay in the second cache while probes pass

}  // namespace

void normalise(float* rows, float* lengths, std::int64_t count, std::int64_t dimension, Place place) {
    launch(Normalise{rows, lengths, dimension}, count, place);
}

void search_exact(const float* probes, std::int64_t probe_count, const float* references, std::int64_t reference_count,
                  std::int64_t dimension, std::int64_t k, float* scores, std::int64_t* rows) {
    const auto most = static_cast<std::size_t>(std::min(k, reference_count));
    std::vector<Best> best(probe_count, Best(most));
    const std::int64_t block = std::max<std::int64_t>(8, block_floats / std::max<std::int64_t>(1, dimension));
    std::vector<float> products(probe_count * block);
    for (std::int64_t start = 0; most > 0 && start < reference_count; start += block) {
        const std::int64_t count = std::min(block, reference_count - start);
        hot_loops().dot_products(probes, probe_count, references + start * dimension, count, dimension, products.data(),
                                 block);
        for (std::int64_t p = 0; p < probe_count; ++p) {
            for (std::int64_t r = 0; r < count; ++r) best[p].offer(products[p * block + r], start + r);
        }
    }
    for (std::int64_t p = 0; p < probe_count; ++p) {
        std::fill(scores + p * k, scores + (p + 1) * k, -1.0f);
        std::fill(rows + p * k, rows + (p + 1) * k, std::int64_t{-1});
        best[p].write(scores + p * k, rows + p * k);
    }
}

}  // namespace pylfr
