// Pairs rows with columns, optimally.
#pragma once

#include <vector>

namespace pylfr {

// The affinity of each row to each column; 0 or less: they are never paired.
struct Affinity {
    int rows, columns;
    std::vector<float> value;

    Affinity(int row_count, int column_count)
        : rows(row_count), columns(column_count), value(static_cast<std::size_t>(row_count) * column_count) {}
    float& at(int row, int column) { return value[static_cast<std::size_t>(row) * columns + column]; }
    float at(int row, int column) const { return value[static_cast<std::size_t>(row) * columns + column]; }
};

// The column of each row, -1 where it has none, such that the sum of affinities is the largest there is.
// Exact: shortest augmenting paths (Kuhn 1955; Jonker and Volgenant 1987), cubic in the number of rows.
std::vector<int> assign(const Affinity& affinity);

}  // namespace pylfr
