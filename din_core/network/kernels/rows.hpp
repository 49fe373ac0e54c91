// Embedding rows at hand: which they are, how they are looked up side by side, and how their
// gradients are added up.
//
// Table f has rows [n_rows, width]; position i of the result holds the row that places[f][i] names
// of each table, one behind the other. Both ways take the positions in order, whatever the number
// of threads.
#pragma once

#include <algorithm>

#include "vectors.hpp"

namespace {

struct LookUp {
    int64_t positions, tables, threads;
    const int64_t* const* places;
    const int64_t *n_rows, *widths;

    int64_t width() const {
        int64_t total = 0;
        for (int64_t f = 0; f < tables; ++f) total += widths[f];
        return total;
    }
    // Whether every place is a row of its table.
    bool is_inside() const {
        bool inside = true;
        for (int64_t f = 0; f < tables; ++f)
            for (int64_t i = 0; i < positions; ++i)
                inside &= (uint64_t)places[f][i] < (uint64_t)n_rows[f];
        return inside;
    }
};

// out [positions, width]
void look_up(const LookUp& l, const float* const* rows, float* out) {
    const int64_t out_ld = l.width();
#pragma omp parallel for num_threads((int)l.threads) if (l.threads > 1)
    for (int64_t i = 0; i < l.positions; ++i) {
        float* to = out + i * out_ld;
        for (int64_t f = 0; f < l.tables; ++f) {
            const int64_t width = l.widths[f];
            const float* row = rows[f] + l.places[f][i] * width;
            int64_t c = 0;
            for (; c + LANES <= width; c += LANES) store(to + c, load(row + c));
            for (; c < width; ++c) to[c] = row[c];
            to += width;
        }
    }
}

// The rows that `places` names += the columns of d_out from `from` on.
void add_to_rows(int64_t positions, const int64_t* places, int64_t width, const float* from,
                 int64_t ld, float* d_rows) {
    for (int64_t i = 0; i < positions; ++i, from += ld) {
        float* to = d_rows + places[i] * width;
        int64_t c = 0;
        for (; c + LANES <= width; c += LANES) store(to + c, load(to + c) + load(from + c));
        for (; c < width; ++c) to[c] += from[c];
    }
}

// d_rows of each table += d_out. A table that several features share is one thread's, too, which
// takes them in their order.
void look_up_gradients(const LookUp& l, const float* d_out, float* const* d_rows) {
    const int64_t out_ld = l.width();
#pragma omp parallel for num_threads((int)l.threads) if (l.threads > 1 && l.tables > 1)
    for (int64_t f = 0; f < l.tables; ++f) {
        if (std::find(d_rows, d_rows + f, d_rows[f]) != d_rows + f) continue;
        const float* from = d_out;
        for (int64_t g = 0; g < l.tables; from += l.widths[g++])
            if (d_rows[g] == d_rows[f])
                add_to_rows(l.positions, l.places[g], l.widths[g], from, out_ld, d_rows[g]);
    }
}

// The distinct ids in the order of their last look-up, and the place of each id among them, as
// distinct_by_marks of din_core/training/lookups.py. Returns their number, or -1 where an id is not
// below `n_marks`; what `marks` holds before and after does not matter.
int64_t distinct(int64_t n, const int64_t* ids, int64_t n_marks, int32_t* marks, int64_t* rows,
                 int64_t* places) {
    for (int64_t i = 0; i < n; ++i) {
        if ((uint64_t)ids[i] >= (uint64_t)n_marks) return -1;
        marks[ids[i]] = (int32_t)i;
    }
    int64_t count = 0;
    for (int64_t i = 0; i < n; ++i)
        if (marks[ids[i]] == (int32_t)i) {
            marks[ids[i]] = (int32_t)count;  // not looked at again: this is its last look-up
            rows[count++] = ids[i];
        }
    for (int64_t i = 0; i < n; ++i) places[i] = marks[ids[i]];
    return count;
}

}  // namespace
