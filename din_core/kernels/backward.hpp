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
            for (int64_t c = 0; c < width2; c += LANES) {
                const auto f = f2.channels(c);
                V of[N_SUMS] = {};
                for (int64_t p = first; p < last; ++p) {
                    const auto value = f.at(F::read(z2 + p * z2_ld, c));
                    const V e = all(d_scores[p]), ez = e * value.z, eq = e * f.q(value);
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
    float *d_target, *d_history, *d_w1, *d_w2;
    double* sums1;                           // [N_SUMS, width1]
};

// Second pass: through the second layer into the first, where only e f' is taken: the share of
// the batch statistics, linear in x, is added afterwards (statistics_gradients).
template <class F, bool DICE>
void hidden_gradients(const Unit& u, const typename F::Unit* z2, const Gradients& out) {
    typedef typename F::Unit Number;
    const int64_t width0 = u.inputs(), width1 = u.width1(), width2 = u.width2();
    const int64_t z2_ld = width2 / F::PER_UNIT, dz1_ld = width1 / F::PER_UNIT;
    const Activation<DICE, F::SHORT> f1(u.layer1, u.hidden1, width1);
    const Activation<DICE, F::SHORT> f2(u.layer2, u.hidden2, width2);
    const Buffer<float> w3 = padded(u.w3, u.hidden2, width2);
    const Buffer<float> mean_eq = padded(out.mean_eq, u.hidden2, width2);
    const Buffer<float> mean_eq_zn = padded(out.mean_eq_zn, u.hidden2, width2);
    const Buffer<float> zero(std::max(width0, width1));
    Panels<F> w1(3 * u.dim, width1), w1_back(width1, width0), w2_back(width2, width1);
    w1.pack(u.w1, 3 * u.dim, 1, u.hidden1, 3 * u.dim);
    w1_back.pack(u.w1, u.hidden1, 3 * u.dim, 3 * u.dim, 1);
    w2_back.pack(u.w2, u.hidden2, u.hidden1, u.hidden1, 1);

    std::vector<Sums> sums;
    std::vector<Buffer<float>> d_w1, d_w2;  // of each thread: [3 D, H1] and [H2, H1]
    for (int64_t s = 0; s < u.threads; ++s) {
        sums.emplace_back(N_SUMS, width1);
        d_w1.emplace_back(width0 * width1);
        d_w2.emplace_back(width2 * width1);
    }
    for_shares(u, [&](int64_t share, int64_t begin, int64_t end) {
        Inputs<F> inputs(u);
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

            for (int64_t c = 0; c < width2; c += LANES) {
                const auto f = f2.channels(c);
                const V w = load(&w3[c]), m = load(&mean_eq[c]), m_zn = load(&mean_eq_zn[c]);
                const auto dz = [&](int64_t i) {
                    if (i >= n) return all(0);
                    const auto value = f.at(F::read(z2 + (first + i) * z2_ld, c));
                    const V de = w * out.d_scores[first + i];
                    return de * value.slope + (de * f.q(value) - m - m_zn * value.zn) * f.inverse;
                };
                for (int64_t i = 0; i < rows; i += 2) {
                    const V dz_0 = dz(i), dz_1 = dz(i + 1);
                    F::row(&dz2[i * z2_ld], c, dz_0);
                    F::row(&dz2[(i + 1) * z2_ld], c, dz_1);
                    F::pair(&dz2_pairs[c], width2, i, dz_0, dz_1);
                }
            }

            for (int64_t j = 0; j < w1.count; ++j) {
                const int64_t column = j * w1.columns;
                for (int64_t i = 0; i < n; i += TILE_ROWS) {
                    w1.template multiply<true>(&f1.start[column], 0, &inputs.rows[i * inputs.ld],
                                               inputs.ld, j, w1.k_units, z, w1.columns);
                    w2_back.template multiply<true>(zero.get(), 0, &dz2[i * z2_ld], z2_ld, j,
                                                    w2_back.k_units, e, w1.columns);
                    for (int64_t c = 0; c < w1.columns; c += LANES) {
                        const auto f = f1.channels(column + c);
                        V of[N_SUMS] = {}, a[2], dz[2];
                        for (int64_t k = 0; k < TILE_ROWS; ++k) {
                            const auto value = f.at(load(z + k * w1.columns + c));
                            const V da = load(e + k * w1.columns + c), daz = da * value.z;
                            const V eq = da * f.q(value), e_slope = da * value.slope;
                            of[OF_SLOPE] += e_slope;
                            of[OF_ALPHA] += daz - daz * value.p;
                            of[OF_Q] += eq;
                            of[OF_Q_ZN] += eq * value.zn;
                            a[k % 2] = value.z * value.slope;
                            dz[k % 2] = e_slope + eq * f.inverse;
                            F::row(&dz1[(i + k) * dz1_ld], column + c, dz[k % 2]);
                            if (k % 2 == 0) continue;
                            F::pair(a1.panel(j) + c, w1.columns, i + k - 1, a[0], a[1]);
                            F::pair(dz1_pairs.panel(j) + c, w1.columns, i + k - 1, dz[0], dz[1]);
                        }
                        for (int k = 0; k < N_SUMS; ++k) add(to + k * width1 + column + c, of[k]);
                    }
                }
                for (int64_t i = 0; i < width2; i += TILE_ROWS) {
                    float* d_w = &d_w2[share][i * width1 + column];
                    a1.template multiply<false>(d_w, width1, &dz2_pairs[i], width2, j,
                                                rows / F::PER_UNIT, d_w, width1);
                }
                for (int64_t i = 0; i < 3 * u.dim; i += TILE_ROWS) {
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
                const float* g = out.d_pooled + u.row[p] * u.dim;
                float* d_h = out.d_history + p * u.dim;
                for (int64_t d = 0; d < u.dim; ++d) d_h[d] = out.scores[p] * g[d];
                inputs.scatter(&dx[i * width0], p, out.d_target + u.row[p] * u.dim, d_h);
            }
            sums[share].flush();
        }
    });
    for (int64_t s = 0; s < u.threads; ++s) {
        sums[s].add_to(out.sums1);
        for (int64_t i = 0; i < u.hidden1; ++i) {
            for (int64_t k = 0; k < 3 * u.dim; ++k)
                out.d_w1[i * 3 * u.dim + k] += d_w1[s][k * width1 + i];
            for (int64_t k = 0; k < u.hidden2; ++k)
                out.d_w2[k * u.hidden1 + i] += d_w2[s][k * width1 + i];
        }
    }
}

// Third pass, for batch statistics only: what z1's mean and deviation add to the gradient of x,
// -(matrix x + constant), for every position.
void statistics_gradients(const Unit& u, const float* matrix, const float* constant,
                          float* d_target, float* d_history) {
    const int64_t width = u.inputs(), n_inputs = 3 * u.dim;
    Panels<Float32> right(n_inputs, width);
    right.pack(matrix, n_inputs, n_inputs, n_inputs, 1);
    const Buffer<float> start = padded(constant, n_inputs, width);
    for_shares(u, [&](int64_t, int64_t begin, int64_t end) {
        Inputs<Float32> inputs(u);
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
                const int64_t p = first + i;
                inputs.scatter(&dx[i * width], p, d_target + u.row[p] * u.dim,
                               d_history + p * u.dim);
            }
        }
    });
}

}  // namespace
