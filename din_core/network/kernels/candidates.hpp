// The first layer of the activation unit, whose matrix is each candidate's own.
//
// For a position with history h of a sample with candidate t (notation: positions.hpp)
//     z1 = Wt t + Wh h + Wp (t * h) + b1 = M h + (Wt t + b1),      M = Wh + Wp diag(t)
// The bracket is taken once for a sample, and M once for a tile of its positions, in registers. A
// position then costs D * H1 multiplications forward and not 2 * D * H1, and so it does backward:
//     dh = M^T dz1        dM = sum over the sample's positions of dz1 h^T
//     dWh += dM           dWp += dM diag(t)           dt += column sums of Wp * dM
// With a mean m subtracted from x (statistics of the batch), h is h - m_h, and what that leaves of
// Wp (t * h - m_p) joins the bracket: Wp (t * m_h - m_p).
#pragma once

#include "positions.hpp"

namespace {

// A tile of ROWS x (NV * LANES) numbers: A times a matrix that is mixed from two on the way,
//     C[i, j] = init[j] + sum_k A[i, k] * (plain[k, j] + t * product[k, j])
// with t of k (T_OF_K) or of column j. A has `ld` units from row to row; the matrices are panels
// in float32, whatever the format.
template <class F, int ROWS, int NV, bool T_OF_K>
void mixed_tile(const float* init, const typename F::Unit* a, int64_t ld, const float* plain,
                const float* product, const float* t, int64_t k_units, float* c, int64_t c_ld) {
    V acc[ROWS][NV], of_t[NV];
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) {
        if (!T_OF_K) of_t[v] = load(t + v * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; ++i) acc[i][v] = load(init + v * LANES);
    }
    for (int64_t unit = 0; unit < k_units; ++unit) {
        const int64_t k = unit * F::PER_UNIT;
        V mixed[NV];
#pragma GCC unroll 2
        for (int v = 0; v < NV; ++v) {
            const auto at = [&](int64_t of) {
                const int64_t place = (of * NV + v) * LANES;
                return multiply_add(T_OF_K ? all(t[of]) : of_t[v], load(product + place),
                                    load(plain + place));
            };
            mixed[v] = F::along_k(at(k), F::PER_UNIT == 2 ? at(k + 1) : V{});
        }
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 2
            for (int v = 0; v < NV; ++v) acc[i][v] = F::dot(acc[i][v], a + i * ld + unit, mixed[v]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 2
        for (int v = 0; v < NV; ++v) store(c + i * c_ld + v * LANES, acc[i][v]);
}

// Rows of the largest mixed tile. Narrow ones can have more, which saves mixing.
constexpr int mixed_tile_rows(int nv) { return nv == 1 ? 2 * TILE_ROWS : TILE_ROWS; }

// The same for as many rows as there are.
template <class F, int NV, bool T_OF_K, int ROWS = mixed_tile_rows(NV)>
void mixed_rows(int64_t rows, const float* init, const typename F::Unit* a, int64_t ld,
                const float* plain, const float* product, const float* t, int64_t k_units,
                float* c, int64_t c_ld) {
    if (rows >= ROWS) {
        mixed_tile<F, ROWS, NV, T_OF_K>(init, a, ld, plain, product, t, k_units, c, c_ld);
        if (rows > ROWS)
            mixed_rows<F, NV, T_OF_K>(rows - ROWS, init, a + ROWS * ld, ld, plain, product, t,
                                      k_units, c + ROWS * c_ld, c_ld);
    } else if constexpr (ROWS > 1) {
        mixed_rows<F, NV, T_OF_K, ROWS - 1>(rows, init, a, ld, plain, product, t, k_units, c,
                                            c_ld);
    }
}

// Panel j of two matrices of the same size, mixed by t; see above.
template <class F, bool T_OF_K>
void multiply_mixed(const Panels<Float32>& plain, const Panels<Float32>& product, int64_t j,
                    const float* t, int64_t rows, const float* init, const typename F::Unit* a,
                    int64_t ld, float* c, int64_t c_ld) {
    const int64_t k_units = plain.k_units / F::PER_UNIT;
    if (plain.nv == 2)
        mixed_rows<F, 2, T_OF_K>(rows, init, a, ld, plain.panel(j), product.panel(j), t, k_units,
                                 c, c_ld);
    else
        mixed_rows<F, 1, T_OF_K>(rows, init, a, ld, plain.panel(j), product.panel(j), t, k_units,
                                 c, c_ld);
}

// Rows of floats that are also at hand in the format of the products.
template <class F>
struct Rounded {
    typedef typename F::Unit Number;
    int64_t width, ld;
    Buffer<float> exact;
    Buffer<Number> rounded;  // next to nothing where it is the same
    explicit Rounded(int64_t row_width)
        : width(row_width), ld(width / F::PER_UNIT), exact(CHUNK * width),
          rounded(F::PER_UNIT == 1 ? 1 : CHUNK * ld) {}
    const Number* row(int64_t i) const {
        if constexpr (F::PER_UNIT == 1) return &exact[i * width];
        else return &rounded[i * ld];
    }
    // LANES numbers of rows i and i + 1.
    INLINE void write(int64_t i, int64_t channel, V v0, V v1) {
        store(&exact[i * width + channel], v0);
        store(&exact[(i + 1) * width + channel], v1);
        if constexpr (F::PER_UNIT > 1) F::rows(&rounded[i * ld], ld, channel, F::round(v0, v1));
    }
    void round(int64_t count) {
        if constexpr (F::PER_UNIT > 1)
            for (int64_t i = 0; i < count; i += 2)
                for (int64_t c = 0; c < width; c += LANES) {
                    const float* from = &exact[i * width + c];
                    F::rows(&rounded[i * ld], ld, c, F::round(load(from), load(from + width)));
                }
    }
};

// A chunk by its candidates: the runs of positions that have one in common.
struct Runs {
    const Unit& u;
    int64_t count, width;
    Buffer<int64_t> sample, begin;  // of each run; `begin` has the end of the last one, too
    Buffer<float> t, mean;          // [runs, width]
    explicit Runs(const Unit& unit)
        : u(unit), count(0), width(round_up(u.dim, WIDTH_STEP)), sample(CHUNK),
          begin(CHUNK + 1), t(CHUNK * width), mean(padded(u.input_mean, u.dim, width)) {}
    void fill(int64_t first, int64_t n) {
        count = 0;
        for (int64_t i = 0; i < n; ++i) {
            const int64_t b = u.segment_ids[first + i];
            if (i > 0 && b == sample[count - 1]) continue;
            std::copy(u.target + b * u.dim, u.target + (b + 1) * u.dim, &t[count * width]);
            begin[count] = i;
            sample[count++] = b;
        }
        begin[count] = n;
    }
    int64_t length(int64_t run) const { return begin[run + 1] - begin[run]; }
};

// The bracket of each run, start + Wt (t - mean) + Wp (t * m_h - m_p). In float32: little work.
struct CandidateTerms {
    const Unit& u;
    bool centred;      // whether there is a mean, and so the part with Wp
    int64_t k, width;  // of the rows below: t - mean, and behind it t * m_h - m_p
    Buffer<float> start, mean, rows;
    Panels<Float32> weight, term;  // [k, H1], and [runs, H1]
    explicit CandidateTerms(const Unit& unit)
        : u(unit), centred(u.centred()),
          k(centred ? 2 * u.dim : u.dim), width(round_up(k, WIDTH_STEP)),
          start(padded(u.layer1.start, u.hidden1, u.width1())),
          mean(padded(u.input_mean, 3 * u.dim, 3 * u.dim)), rows(CHUNK * width),
          weight(k, u.width1()), term(CHUNK, u.width1()) {
        weight.pack(u.w1, u.dim, 1, u.hidden1, 3 * u.dim);
        if (centred) weight.pack(u.w1 + 2 * u.dim, u.dim, 1, u.hidden1, 3 * u.dim, u.dim);
    }
    void fill(const Runs& runs) {
        const int64_t dim = u.dim;
        for (int64_t run = 0; run < runs.count; ++run) {
            const float* t = &runs.t[run * runs.width];
            float* to = &rows[run * width];
            for (int64_t d = 0; d < dim; ++d) to[d] = t[d] - mean[d];
            if (centred)
                for (int64_t d = 0; d < dim; ++d)
                    to[dim + d] = t[d] * mean[dim + d] - mean[2 * dim + d];
        }
        for (int64_t j = 0; j < weight.count; ++j)
            for (int64_t i = 0; i < runs.count; i += TILE_ROWS)
                weight.multiply<true>(&start[j * term.columns], 0, &rows[i * width], width, j, k,
                                      term.panel(j) + i * term.columns, term.columns);
    }
};

// z1 of a chunk.
template <class F>
struct FirstLayer {
    const Unit& u;
    Panels<Float32> plain, product;  // Wh and Wp: [D, H1]
    explicit FirstLayer(const Unit& unit)
        : u(unit), plain(round_up(u.dim, F::PER_UNIT), u.width1()),
          product(round_up(u.dim, F::PER_UNIT), u.width1()) {
        plain.pack(u.w1 + u.dim, u.dim, 1, u.hidden1, 3 * u.dim);
        product.pack(u.w1 + 2 * u.dim, u.dim, 1, u.hidden1, 3 * u.dim);
    }
    // What a thread works with.
    struct Work {
        const Unit& u;
        Runs runs;
        CandidateTerms terms;
        Rounded<F> history;    // h - m_h
        Buffer<float> mean, z;  // z1 of one panel: [CHUNK, columns]
        explicit Work(const Unit& unit)
            : u(unit), runs(u), terms(u), history(round_up(u.dim, WIDTH_STEP)),
              mean(padded(u.input_mean + u.dim, u.dim, history.width)), z(CHUNK * 2 * LANES) {}
        void fill(int64_t first, int64_t n) {
            runs.fill(first, n);
            terms.fill(runs);
            for (int64_t i = 0; i < n; ++i) {
                const float* h = u.history + (first + i) * u.dim;
                float* to = &history.exact[i * history.width];
                for (int64_t d = 0; d < u.dim; ++d) to[d] = h[d] - mean[d];
            }
            history.round(n);
        }
    };
    // z1 of the channels of panel j in work.z; zero after the last position.
    void panel(Work& work, int64_t j, int64_t n) const {
        const int64_t columns = plain.columns;
        const Runs& runs = work.runs;
        for (int64_t run = 0; run < runs.count; ++run)
            multiply_mixed<F, true>(plain, product, j, &runs.t[run * runs.width], runs.length(run),
                                    work.terms.term.panel(j) + run * columns,
                                    work.history.row(runs.begin[run]), work.history.ld,
                                    &work.z[runs.begin[run] * columns], columns);
        std::memset(&work.z[n * columns], 0,
                    (round_up(n, TILE_ROWS) - n) * columns * sizeof(float));
    }
};

}  // namespace
