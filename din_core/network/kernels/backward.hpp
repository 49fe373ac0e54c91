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
    std::vector<Sums> sums = sums_of_shares(u, N_SUMS, width2);
    const auto no_work = [] { return 0; };
    for_shares(u, no_work, [&](int, int64_t share, int64_t begin, int64_t end) {
        float* to = sums[share].chunk.get();
        for (int64_t first = begin; first < end; first += CHUNK) {
            const int64_t last = std::min<int64_t>(first + CHUNK, end);
            for (int64_t p = first; p < last; ++p) {
                const float *g = d_pooled + u.segment_ids[p] * u.dim, *h = u.history + p * u.dim;
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
    const float *mean_eq, *mean_eq_zn;  // second layer's means of e q and e q zn; zero where its
                                        // statistics are constants
    float *d_target, *d_history, *d_w1, *d_w2;
    double* sums1;                      // [N_SUMS, width1]
};

// Second pass: through the second layer into the first, where only e f' is taken: the share of
// the batch statistics, linear in x, is added afterwards (statistics_gradients).
template <class F, bool DICE>
struct HiddenGradients {
    typedef typename F::Unit Number;
    typedef Activation<DICE, F::SHORT> Function;

    const Unit& u;
    const Number* z2;
    const Gradients& out;
    int64_t n_x, width_x, width_t, width1, width2, z2_ld, dz1_ld;
    Function f1, f2;
    Buffer<float> w3, mean_eq, mean_eq_zn, zero;
    Panels<F> w1, w1_back, w2_back;  // [x, H1], [H1, x], [H2, H1]
    Panels<Float32> w_target_back;   // [H1, D]

    HiddenGradients(const Unit& unit, const Number* kept, const Gradients& gradients)
        : u(unit), z2(kept), out(gradients), n_x(2 * u.dim), width_x(round_up(n_x, WIDTH_STEP)),
          width_t(round_up(u.dim, WIDTH_STEP)), width1(u.width1()), width2(u.width2()),
          z2_ld(width2 / F::PER_UNIT), dz1_ld(width1 / F::PER_UNIT),
          f1(u.layer1, u.hidden1, width1), f2(u.layer2, u.hidden2, width2),
          w3(padded(u.w3, u.hidden2, width2)), mean_eq(padded(out.mean_eq, u.hidden2, width2)),
          mean_eq_zn(padded(out.mean_eq_zn, u.hidden2, width2)), zero(std::max(width_x, width1)),
          w1(n_x, width1), w1_back(width1, width_x), w2_back(width2, width1),
          w_target_back(width1, width_t) {
        w1.pack(u.w1 + u.dim, n_x, 1, u.hidden1, 3 * u.dim);
        w1_back.pack(u.w1 + u.dim, u.hidden1, 3 * u.dim, n_x, 1);
        w2_back.pack(u.w2, u.hidden2, u.hidden1, u.hidden1, 1);
        w_target_back.pack(u.w1, u.hidden1, 3 * u.dim, u.dim, 1);
    }

    // What a thread works with.
    struct Work {
        Inputs<F> inputs;
        Targets targets;
        Buffer<Number> dz2, dz2_pairs, dz1;
        Panels<F> dz1_pairs, a1;
        Buffer<float> dx, dt;
        explicit Work(const HiddenGradients& g)
            : inputs(g.u, false), targets(g.u), dz2(CHUNK * g.z2_ld),
              dz2_pairs(CHUNK / F::PER_UNIT * g.width2), dz1(CHUNK * g.dz1_ld),
              dz1_pairs(CHUNK, g.width1), a1(CHUNK, g.width1), dx(CHUNK * g.width_x),
              dt(CHUNK * g.width_t) {}
    };
    // What comes of a share.
    struct Share {
        Buffer<float> d_w1, d_w2;  // transposed: [3 D, H1], [H2, H1]
        Sums sums;
        explicit Share(const HiddenGradients& g)
            : d_w1((g.u.dim + g.width_x) * g.width1), d_w2(g.width2 * g.width1),
              sums(N_SUMS, g.width1) {}
    };

    void chunk(Work& s, Share& share, int64_t first, int64_t n) const {
        s.inputs.fill(first, n);
        s.targets.fill(first, n);
        second_layer(s, first, n);
        std::memset(s.dt.get(), 0, s.targets.count * width_t * sizeof(float));
        for (int64_t j = 0; j < w1.count; ++j) {
            first_layer(s, share.sums, j, n);
            weights(s, share, j, n);
        }
        inputs(s, first, n);
        share.sums.flush();
    }

    // dz2 of a chunk, zero after its last position.
    void second_layer(Work& s, int64_t first, int64_t n) const {
        for (int64_t block = 0; block < n; block += TILE_ROWS)
            for (int64_t c = 0; c < width2; c += LANES) {
                const auto f = f2.channels(c);
                const V w = load(&w3[c]), m = load(&mean_eq[c]), m_zn = load(&mean_eq_zn[c]);
                const auto dz = [&](int64_t i) {
                    if (i >= n) return all(0);
                    const auto value = f.at(F::read(z2 + (first + i) * z2_ld, c));
                    const V e = w * out.d_scores[first + i];
                    return e * value.slope + (e * value.q() - m - m_zn * value.zn) * f.inverse;
                };
                for (int64_t i = block; i < block + TILE_ROWS; i += 2) {
                    const auto two = F::round(dz(i), dz(i + 1));
                    F::rows(&s.dz2[i * z2_ld], z2_ld, c, two);
                    F::pair(&s.dz2_pairs[c], width2, i, two);
                }
            }
    }

    // a1 and e f'(z1) of the channels of panel j, with z1 computed again.
    void first_layer(Work& s, Sums& sums, int64_t j, int64_t n) const {
        alignas(64) float z[TILE_ROWS * 2 * LANES], e[TILE_ROWS * 2 * LANES];
        const int64_t columns = w1.columns;
        Panels<Float32>& d_term = s.targets.d_term;
        std::memset(d_term.panel(j), 0, s.targets.count * columns * sizeof(float));
        for (int64_t i = 0; i < n; i += TILE_ROWS) {
            w1.template multiply<true>(zero.get(), 0, &s.inputs.rows[i * s.inputs.ld],
                                       s.inputs.ld, j, w1.k_units, z, columns);
            w2_back.template multiply<true>(zero.get(), 0, &s.dz2[i * z2_ld], z2_ld, j,
                                            w2_back.k_units, e, columns);
            for (int64_t c = 0; c < columns; c += LANES) {
                const int64_t channel = j * columns + c;
                const auto f = f1.channels(channel);
                const float* term_c = s.targets.term.panel(j) + c;
                float* d_term_c = d_term.panel(j) + c;
                V of[N_SUMS] = {};
                const auto one = [&](int64_t k, V& a) {
                    const int64_t place = s.targets.place[i + k];
                    const auto value = f.at(load(z + k * columns + c) + load(term_c + place));
                    const V de = load(e + k * columns + c), dez = de * value.z;
                    const V eq = de * value.q(), e_slope = de * value.slope;
                    const V dz = e_slope + eq * f.inverse;
                    of[OF_SLOPE] += e_slope;
                    of[OF_ALPHA] += dez - dez * value.p;
                    of[OF_Q] += eq;
                    of[OF_Q_ZN] += eq * value.zn;
                    add(d_term_c + place, dz);
                    a = value.a();
                    return dz;
                };
                for (int64_t k = 0; k < TILE_ROWS; k += 2) {
                    V a_0, a_1;
                    const V dz_0 = one(k, a_0), dz_1 = one(k + 1, a_1);
                    const auto dz = F::round(dz_0, dz_1);
                    F::rows(&s.dz1[(i + k) * dz1_ld], dz1_ld, channel, dz);
                    F::pair(s.dz1_pairs.panel(j) + c, columns, i + k, dz);
                    F::pair(s.a1.panel(j) + c, columns, i + k, F::round(a_0, a_1));
                }
                for (int k = 0; k < N_SUMS; ++k)
                    add(&sums.chunk[k * width1 + channel], of[k]);
            }
        }
    }

    // dW2 += dz2^T a1 and dW1 += dz1^T x for the channels of panel j; and dt += dz1 Wt.
    void weights(Work& s, Share& share, int64_t j, int64_t n) const {
        const int64_t column = j * w1.columns, positions = round_up(n, TILE_ROWS) / F::PER_UNIT;
        for (int64_t i = 0; i < width2; i += TILE_ROWS) {
            float* d_w = &share.d_w2[i * width1 + column];
            s.a1.template multiply<false>(d_w, width1, &s.dz2_pairs[i], width2, j, positions, d_w,
                                          width1);
        }
        for (int64_t i = 0; i < n_x; i += TILE_ROWS) {
            float* d_w = &share.d_w1[(u.dim + i) * width1 + column];
            s.dz1_pairs.template multiply<false>(d_w, width1, &s.inputs.pairs[i], width_x, j,
                                                 positions, d_w, width1);
        }
        Targets& t = s.targets;
        for (int64_t i = 0; i < u.dim; i += TILE_ROWS) {
            float* d_w = &share.d_w1[i * width1 + column];
            t.d_term.template multiply<false>(d_w, width1, &t.t[i], t.ld, j, t.count, d_w, width1);
        }
        for (int64_t k = 0; k < w_target_back.count; ++k)
            for (int64_t i = 0; i < t.count; i += TILE_ROWS) {
                float* d_t = &s.dt[i * width_t + k * w_target_back.columns];
                w_target_back.multiply_part<true>(d_t, width_t,
                                                  t.d_term.panel(j) + i * w1.columns, w1.columns,
                                                  k, column, w1.columns, d_t, width_t);
            }
    }

    // dx = dz1 W1, and from there to the history and the target.
    void inputs(Work& s, int64_t first, int64_t n) const {
        for (int64_t j = 0; j < w1_back.count; ++j)
            for (int64_t i = 0; i < n; i += TILE_ROWS)
                w1_back.template multiply<true>(zero.get(), 0, &s.dz1[i * dz1_ld], dz1_ld, j,
                                                w1_back.k_units,
                                                &s.dx[i * width_x + j * w1_back.columns], width_x);
        for (int64_t i = 0; i < n; ++i) {
            const int64_t p = first + i, b = s.inputs.sample[i];
            for (int64_t d = 0; d < u.dim; ++d)
                out.d_history[p * u.dim + d] = out.scores[p] * out.d_pooled[b * u.dim + d];
            s.inputs.scatter(&s.dx[i * width_x], p, b, out.d_target, out.d_history);
        }
        for (int64_t i = 0; i < s.targets.count; ++i)
            for (int64_t d = 0; d < u.dim; ++d)
                out.d_target[s.targets.sample[i] * u.dim + d] += s.dt[i * width_t + d];
    }
};

template <class F, bool DICE>
void hidden_gradients(const Unit& u, const typename F::Unit* z2, const Gradients& out) {
    const HiddenGradients<F, DICE> pass(u, z2, out);
    typedef typename HiddenGradients<F, DICE>::Work Work;
    std::vector<typename HiddenGradients<F, DICE>::Share> shares;
    for (int64_t share = 0; share < u.shares(); ++share) shares.emplace_back(pass);
    const auto make_work = [&] { return Work(pass); };
    for_shares(u, make_work, [&](Work& work, int64_t share, int64_t begin, int64_t end) {
        for (int64_t first = begin; first < end; first += CHUNK)
            pass.chunk(work, shares[share], first, std::min<int64_t>(CHUNK, end - first));
    });
    for (const auto& s : shares) {
        s.sums.add_to(out.sums1);
        for (int64_t k = 0; k < 3 * u.dim; ++k)
            for (int64_t i = 0; i < u.hidden1; ++i)
                out.d_w1[i * 3 * u.dim + k] += s.d_w1[k * u.width1() + i];
        for (int64_t k = 0; k < u.hidden2; ++k)
            for (int64_t i = 0; i < u.hidden1; ++i)
                out.d_w2[k * u.hidden1 + i] += s.d_w2[k * u.width1() + i];
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
    struct Work {
        Inputs<Float32> inputs;
        Buffer<float> dx;
    };
    const auto make_work = [&] { return Work{{u, true}, Buffer<float>(CHUNK * width)}; };
    for_shares(u, make_work, [&](Work& work, int64_t, int64_t begin, int64_t end) {
        Inputs<Float32>& inputs = work.inputs;
        const Buffer<float>& dx = work.dx;
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
