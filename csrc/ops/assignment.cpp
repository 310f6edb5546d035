#include "ops/assignment.hpp"

#include <limits>

namespace pylfr {

namespace {

// Columns of the rows for the least cost -affinity; needs rows <= columns. Everything counts from 1, 0 is "none".
std::vector<int> least_cost(const Affinity& affinity, bool transposed) {
    const int rows = transposed ? affinity.columns : affinity.rows;
    const int columns = transposed ? affinity.rows : affinity.columns;
    const auto cost = [&](int row, int column) {
        const float value = transposed ? affinity.at(column - 1, row - 1) : affinity.at(row - 1, column - 1);
        return value > 0.0f ? -static_cast<double>(value) : 0.0;
    };
    std::vector<double> row_price(rows + 1, 0.0), column_price(columns + 1, 0.0);
    std::vector<int> row_of(columns + 1, 0), came_from(columns + 1, 0);
    for (int start = 1; start <= rows; ++start) {
        row_of[0] = start;
        std::vector<double> distance(columns + 1, std::numeric_limits<double>::infinity());
        std::vector<bool> is_done(columns + 1, false);
        int at = 0;
        do {
            is_done[at] = true;
            const int row = row_of[at];
            double least = std::numeric_limits<double>::infinity();
            int next = 0;
            for (int column = 1; column <= columns; ++column) {
                if (is_done[column]) continue;
                const double reduced = cost(row, column) - row_price[row] - column_price[column];
                if (reduced < distance[column]) distance[column] = reduced, came_from[column] = at;
                if (distance[column] < least) least = distance[column], next = column;
            }
            for (int column = 0; column <= columns; ++column) {
                if (is_done[column]) {
                    row_price[row_of[column]] += least;
                    column_price[column] -= least;
                } else {
                    distance[column] -= least;
                }
            }
            at = next;
        } while (row_of[at] != 0);
        for (; at != 0; at = came_from[at]) row_of[at] = row_of[came_from[at]];
    }
    return row_of;
}

}  // namespace

std::vector<int> assign(const Affinity& affinity) {
    std::vector<int> column_of(affinity.rows, -1);
    if (affinity.rows == 0 || affinity.columns == 0) return column_of;
    const bool transposed = affinity.rows > affinity.columns;
    const std::vector<int> row_of = least_cost(affinity, transposed);
    for (int j = 1; j < static_cast<int>(row_of.size()); ++j) {
        if (row_of[j] == 0) continue;
        const int row = transposed ? j - 1 : row_of[j] - 1;
        const int column = transposed ? row_of[j] - 1 : j - 1;
        if (affinity.at(row, column) > 0.0f) column_of[row] = column;
    }
    return column_of;
}

}  // namespace pylfr
