// Memory for probe templates that leaves as few traces as the system allows.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pylfr {

// Whole pages of zeros: locked into memory and left out of core dumps and of forked children where the system
// allows it; overwritten with zeros by `wipe` and before they are given back.
class TemplatePool {
 public:
    TemplatePool(std::int64_t rows, std::int64_t dimension);
    ~TemplatePool();
    TemplatePool(const TemplatePool&) = delete;
    TemplatePool& operator=(const TemplatePool&) = delete;

    void wipe();
    float* rows() const { return static_cast<float*>(pages_); }
    std::int64_t row_count() const { return rows_; }
    std::int64_t dimension() const { return dimension_; }
    bool is_locked() const { return is_locked_; }

 private:
    std::int64_t rows_, dimension_;
    std::size_t bytes_;  // whole pages
    void* pages_;
    bool is_locked_ = false;
};

}  // namespace pylfr
