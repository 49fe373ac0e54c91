// The passes of the backward. See positions.hpp for the formulas and the notation.
#pragma once

#include "positions.hpp"

namespace {

// Sums over positions that the gradients of an activation layer are made of, e = df/da:
enum { OF_SLOPE, OF_A, OF_ALPHA, OF_Q, OF_Q_ZN, N_SUMS };  // e slope, e a, e z (1-p), e q, e q zn

// First pass: df/ds of every position, and the sums of the second layer (with df/ds in place of
// e = w3 df/ds). They hold the gradients of w3, b3 and alpha2.
template <class F, bool DICE>
void output_gradients(const Unit& u, const typename F::Unit* z2, const float* d_pooled,
                      float* d_scores, double* sums2) {
    const int64_t width2 = u.width2(), z2_ld = width2 / F::PER_UNIT;
    const Activation<DICE, F::SHORT> f2(u.layer2, u.hidden2, width2);
    std::vector<Sums> sums;
    for (int64_t s = 0; s < u.threads; ++s) sums.emplace_back(N_SUMS, width2);
    for_shares(u, [&](int64_t share, int64_t begin, int64_t end) {
        float* to = sums[share].chunk.get();
        for (int64_t first = begin; first < end; first += CHUNK) {
            const int64_t last = std::min<int64_t>(first + CHUNK, end);
            for (int64_t p = first; p < last; ++p) {
                const float *g = d_pooled + u.row[p] * u.dim, *h = u.history + p * u.dim;
                d_scores[p] = 0;
                for (int64_t d = 0; d < u.dim; ++d) d_scores[p] += g[d] * h[d];
            }
            for (int64_t at = first; at < last; at += BLOCK)
                for (int64_t c = 0; c < width2; c += LANES) {
                    const auto f = f2.channels(c);
                    V of[N_SUMS] = {};
                    for (int64_t p = at; p < std::min(at + BLOCK, last); ++p) {
                        const auto value = f.at(F::read(z2 + p * z2_ld, c));
                        const V e = all(d_scores[p]), ez = e * value.z, eq = e * value.q();
                        of[OF_SLOPE] += e * value.slope;
                        of[OF_A] += ez * value.slope;
                        of[OF_ALPHA] += ez - ez * value.p;
                        of[OF_Q] += eq;
                        of[OF_Q_ZN] += eq * value.zn;
                    }
                    for (int k = 0; k < N_SUMS; ++k) add(to + k * width2 + c, of[k]);
                }
            sums[share].flush();
        }
    });
    for (const Sums& s : sums) s.add_to(sums2);
}

struct Gradients {
    const float *d_scores, *d_pooled, *scores;
    const float *mean_eq, *mean_eq_zn;       // second layer's means of e q and e q zn; zero where
                                             // its statistics are constants
    float *d_target, *d_target_term, *d_history;
    float *d_w1, *d_w2;                      // of h and t * h: [H1, 2 D]; [H2, H1]
    double* sums1;                           // [N_SUMS, width1]
};

// Second pass: through the second layer into the first, where only e f' is taken: the share of
// the batch statistics, linear in x, is added afterwards (statistics_gradients).
template <class F, bool DICE>
void hidden_gradients(const Unit& u, const typename F::Unit* z2, const Gradients& out) {
    typedef typename F::Unit Number;
    const int64_t n_inputs = 2 * u.dim, width0 = round_up(n_inputs, WIDTH_STEP);
    const int64_t width1 = u.width1(), width2 = u.width2();
    const int64_t z2_ld = width2 / F::PER_UNIT, dz1_ld = width1 / F::PER_UNIT;
    const Activation<DICE, F::SHORT> f1(u.layer1, u.hidden1, width1);
    const Activation<DICE, F::SHORT> f2(u.layer2, u.hidden2, width2);
    const Buffer<float> w3 = padded(u.w3, u.hidden2, width2);
    const Buffer<float> mean_eq = padded(out.mean_eq, u.hidden2, width2);
    const Buffer<float> mean_eq_zn = padded(out.mean_eq_zn, u.hidden2, width2);
    const Buffer<float> zero(std::max(width0, width1));
    Panels<F> w1(n_inputs, width1), w1_back(width1, width0), w2_back(width2, width1);
    w1.pack(u.w1 + u.dim, n_inputs, 1, u.hidden1, 3 * u.dim);
    w1_back.pack(u.w1 + u.dim, u.hidden1, 3 * u.dim, n_inputs, 1);
    w2_back.pack(u.w2, u.hidden2, u.hidden1, u.hidden1, 1);

    std::vector<Sums> sums;
    std::vector<Buffer<float>> d_w1, d_w2;  // of each thread: [2 D, H1] and [H2, H1]
    for (int64_t s = 0; s < u.threads; ++s) {
        sums.emplace_back(N_SUMS, width1);
        d_w1.emplace_back(width0 * width1);
        d_w2.emplace_back(width2 * width1);
    }
    for_shares(u, [&](int64_t share, int64_t begin, int64_t end) {
        Inputs<F> inputs(u, false);
        Buffer<Number> dz2(CHUNK * z2_ld), dz2_pairs(CHUNK / F::PER_UNIT * width2);
        Buffer<Number> dz1(CHUNK * dz1_ld);
        Panels<F> a1(CHUNK, width1), dz1_pairs(CHUNK, width1);
        Buffer<float> dx(CHUNK * width0);
        alignas(64) float z[TILE_ROWS * 2 * LANES], e[TILE_ROWS * 2 * LANES];
        float* to = sums[share].chunk.get();
        for (int64_t first = begin; first < end; first += CHUNK) {
            const int64_t n = std::min<int64_t>(CHUNK, end - first);
            const int64_t rows = round_up(n, TILE_ROWS);
            inputs.fill(first, n);

            for (int64_t block = 0; block < rows; block += TILE_ROWS)
                for (int64_t c = 0; c < width2; c += LANES) {
                    const auto f = f2.channels(c);
                    const V w = load(&w3[c]), m = load(&mean_eq[c]), m_zn = load(&mean_eq_zn[c]);
                    const auto dz = [&](int64_t i) {
                        if (i >= n) return all(0);
                        const auto value = f.at(F::read(z2 + (first + i) * z2_ld, c));
                        const V de = w * out.d_scores[first + i];
                        return de * value.slope +
                               (de * value.q() - m - m_zn * value.zn) * f.inverse;
                    };
                    for (int64_t i = block; i < block + TILE_ROWS; i += 2) {
                        const auto two = F::round(dz(i), dz(i + 1));
                        F::rows(&dz2[i * z2_ld], z2_ld, c, two);
                        F::pair(&dz2_pairs[c], width2, i, two);
                    }
                }

            for (int64_t j = 0; j < w1.count; ++j) {
                const int64_t column = j * w1.columns;
                for (int64_t i = 0; i < n; i += TILE_ROWS) {
                    w1.template multiply<true>(zero.get(), 0, &inputs.rows[i * inputs.ld],
                                               inputs.ld, j, w1.k_units, z, w1.columns);
                    w2_back.template multiply<true>(zero.get(), 0, &dz2[i * z2_ld], z2_ld, j,
                                                    w2_back.k_units, e, w1.columns);
                    for (int64_t c = column; c < column + w1.columns; c += LANES) {
                        const auto f = f1.channels(c);
                        V of[N_SUMS] = {}, a[2], dz[2];
                        for (int64_t k = 0; k < TILE_ROWS; ++k) {
                            const int64_t in_tile = k * w1.columns + c - column;
                            const int64_t of_target = inputs.sample[i + k] * width1 + c;
                            const auto value = f.at(load(z + in_tile) +
                                                    load(u.target_term + of_target));
                            const V de = load(e + in_tile), dez = de * value.z;
                            const V eq = de * value.q(), e_slope = de * value.slope;
                            of[OF_SLOPE] += e_slope;
                            of[OF_ALPHA] += dez - dez * value.p;
                            of[OF_Q] += eq;
                            of[OF_Q_ZN] += eq * value.zn;
                            a[k % 2] = value.a();
                            dz[k % 2] = e_slope + eq * f.inverse;
                            add(out.d_target_term + of_target, dz[k % 2]);
                            if (k % 2 == 0) continue;
                            F::pair(a1.panel(j) + c - column, w1.columns, i + k - 1,
                                    F::round(a[0], a[1]));
                            const auto two = F::round(dz[0], dz[1]);
                            F::pair(dz1_pairs.panel(j) + c - column, w1.columns, i + k - 1, two);
                            F::rows(&dz1[(i + k - 1) * dz1_ld], dz1_ld, c, two);
                        }
                        for (int s = 0; s < N_SUMS; ++s) add(to + s * width1 + c, of[s]);
                    }
                }
                for (int64_t i = 0; i < width2; i += TILE_ROWS) {
                    float* d_w = &d_w2[share][i * width1 + column];
                    a1.template multiply<false>(d_w, width1, &dz2_pairs[i], width2, j,
                                                rows / F::PER_UNIT, d_w, width1);
                }
                for (int64_t i = 0; i < n_inputs; i += TILE_ROWS) {
                    float* d_w = &d_w1[share][i * width1 + column];
                    dz1_pairs.template multiply<false>(d_w, width1, &inputs.pairs[i], width0, j,
                                                       rows / F::PER_UNIT, d_w, width1);
                }
            }

            for (int64_t j = 0; j < w1_back.count; ++j)
                for (int64_t i = 0; i < n; i += TILE_ROWS)
                    w1_back.template multiply<true>(zero.get(), 0, &dz1[i * dz1_ld], dz1_ld, j,
                                                    w1_back.k_units,
                                                    &dx[i * width0 + j * w1_back.columns], width0);
            for (int64_t i = 0; i < n; ++i) {
                const int64_t p = first + i;
                const float* g = out.d_pooled + inputs.sample[i] * u.dim;
                for (int64_t d = 0; d < u.dim; ++d)
                    out.d_history[p * u.dim + d] = out.scores[p] * g[d];
                inputs.scatter(&dx[i * width0], p, inputs.sample[i], out.d_target, out.d_history);
            }
            sums[share].flush();
        }
    });
    for (int64_t s = 0; s < u.threads; ++s) {
        sums[s].add_to(out.sums1);
        for (int64_t i = 0; i < u.hidden1; ++i) {
            for (int64_t k = 0; k < n_inputs; ++k)
                out.d_w1[i * n_inputs + k] += d_w1[s][k * width1 + i];
            for (int64_t k = 0; k < u.hidden2; ++k)
                out.d_w2[k * u.hidden1 + i] += d_w2[s][k * width1 + i];
        }
    }
}

// Third pass, for batch statistics only: what z1's mean and deviation add to the gradient of x,
// matrix (x - mean) + constant, for every position.
void statistics_gradients(const Unit& u, const float* matrix, const float* constant,
                          float* d_target, float* d_history) {
    const int64_t n_inputs = 3 * u.dim, width = round_up(n_inputs, WIDTH_STEP);
    Panels<Float32> right(n_inputs, width);
    right.pack(matrix, n_inputs, n_inputs, n_inputs, 1);
    const Buffer<float> start = padded(constant, n_inputs, width);
    for_shares(u, [&](int64_t, int64_t begin, int64_t end) {
        Inputs<Float32> inputs(u, true);
        Buffer<float> dx(CHUNK * width);
        for (int64_t first = begin; first < end; first += CHUNK) {
            const int64_t n = std::min<int64_t>(CHUNK, end - first);
            inputs.fill(first, n);
            for (int64_t j = 0; j < right.count; ++j)
                for (int64_t i = 0; i < n; i += TILE_ROWS)
                    right.multiply<true>(&start[j * right.columns], 0, &inputs.rows[i * width],
                                         width, j, right.k_units,
                                         &dx[i * width + j * right.columns], width);
            for (int64_t i = 0; i < n; ++i) {
                inputs.scatter(&dx[i * width], first + i, inputs.sample[i], d_target, d_history);
            }
        }
    });
}

}  // namespace
