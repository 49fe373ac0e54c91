// The second pass of the backward: the gradients of everything before the second layer.
// See positions.hpp and candidates.hpp for formulas and notation.
#pragma once

#include <utility>

#include "candidates.hpp"

namespace {

// Sums over positions that the gradients of an activation layer are made of, e = df/da:
enum { OF_SLOPE, OF_A, OF_ALPHA, OF_Q, OF_Q_ZN, N_SUMS };  // e slope, e a, e z (1-p), e q, e q zn

struct Gradients {
    const float *d_scores, *d_pooled, *scores;
    const float* d_sums;                // of the plain sums, or null
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
    int64_t width_d, width1, width2, z2_ld;
    Function f1, f2;
    Buffer<float> w3, mean_eq, mean_eq_zn, zero;
    FirstLayer<F> layer1;
    Panels<Float32> target_back, plain_back, product_back;  // Wt, Wh and Wp: [H1, D]
    Panels<F> w2_back;                                      // [H2, H1]

    HiddenGradients(const Unit& unit, const Number* kept, const Gradients& gradients)
        : u(unit), z2(kept), out(gradients), width_d(round_up(u.dim, WIDTH_STEP)),
          width1(u.width1()), width2(u.width2()), z2_ld(width2 / F::PER_UNIT),
          f1(u.layer1, u.hidden1, width1), f2(u.layer2, u.hidden2, width2),
          w3(padded(u.w3, u.hidden2, width2)), mean_eq(padded(out.mean_eq, u.hidden2, width2)),
          mean_eq_zn(padded(out.mean_eq_zn, u.hidden2, width2)), zero(std::max(width_d, width1)),
          layer1(u), target_back(width1, width_d), plain_back(width1, width_d),
          product_back(width1, width_d), w2_back(width2, width1) {
        target_back.pack(u.w1, u.hidden1, 3 * u.dim, u.dim, 1);
        plain_back.pack(u.w1 + u.dim, u.hidden1, 3 * u.dim, u.dim, 1);
        product_back.pack(u.w1 + 2 * u.dim, u.hidden1, 3 * u.dim, u.dim, 1);
        w2_back.pack(u.w2, u.hidden2, u.hidden1, u.hidden1, 1);
    }

    // What a thread works with.
    struct Work {
        typename FirstLayer<F>::Work first;
        Buffer<Number> dz2, dz2_pairs;
        Rounded<F> dz1;
        Panels<F> a1;
        Panels<Float32> d_term;  // sum of dz1 over each run: [runs, H1]
        Buffer<float> dh, dt, dt_of_mean;
        explicit Work(const HiddenGradients& g)
            : first(g.u), dz2(CHUNK * g.z2_ld), dz2_pairs(CHUNK / F::PER_UNIT * g.width2),
              dz1(g.width1), a1(CHUNK, g.width1), d_term(CHUNK, g.width1),
              dh(CHUNK * g.width_d), dt(CHUNK * g.width_d), dt_of_mean(CHUNK * g.width_d) {}
    };
    // What comes of a share.
    struct Share {
        Buffer<float> d_plain, d_product;  // dWh and dWp: [H1, D]
        Buffer<float> d_terms, d_w2;       // transposed: of the brackets' rows [k, H1], [H2, H1]
        Sums sums;
        explicit Share(const HiddenGradients& g)
            : d_plain(g.width1 * g.width_d), d_product(g.width1 * g.width_d),
              d_terms(round_up((g.u.centred() ? 2 : 1) * g.u.dim, WIDTH_STEP) * g.width1),
              d_w2(g.width2 * g.width1),
              sums(N_SUMS, g.width1) {}
        // Adds the products' sums of another share.
        void add(const Share& other) const {
            for (const auto& [to, from] : {std::pair{&d_plain, &other.d_plain},
                                           std::pair{&d_product, &other.d_product},
                                           std::pair{&d_terms, &other.d_terms},
                                           std::pair{&d_w2, &other.d_w2}})
                for (int64_t i = 0; i < to->size; ++i) (*to)[i] += (*from)[i];
        }
    };

    void chunk(Work& s, Share& share, int64_t first, int64_t n) const {
        s.first.fill(first, n);
        second_layer(s, first, n);
        std::memset(s.dt.get(), 0, s.first.runs.count * width_d * sizeof(float));
        std::memset(s.dt_of_mean.get(), 0, s.first.runs.count * width_d * sizeof(float));
        for (int64_t j = 0; j < w2_back.count; ++j) {
            first_layer(s, share.sums, j, n);
            weights(s, share, j, n);
            terms(s, share, j);
        }
        for (int64_t j = 0; j < plain_back.count; ++j) {
            if (plain_back.nv == 2) candidates<2>(s, share, j);
            else candidates<1>(s, share, j);
            for (int64_t run = 0; run < s.first.runs.count; ++run) history(s, j, run);
        }
        inputs(s, first);
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
        alignas(64) float e[TILE_ROWS * 2 * LANES];
        const int64_t columns = w2_back.columns;
        layer1.panel(s.first, j, n);
        for (int64_t i = 0; i < n; i += TILE_ROWS) {
            w2_back.template multiply<true>(zero.get(), 0, &s.dz2[i * z2_ld], z2_ld, j,
                                            w2_back.k_units, e, columns);
            const float* z = &s.first.z[i * columns];
            for (int64_t c = 0; c < columns; c += LANES) {
                const int64_t channel = j * columns + c;
                const auto f = f1.channels(channel);
                V of[N_SUMS] = {};
                const auto one = [&](int64_t k, V& a) {
                    const auto value = f.at(load(z + k * columns + c));
                    const V de = load(e + k * columns + c), dez = de * value.z;
                    const V e_slope = de * value.slope;
                    of[OF_SLOPE] += e_slope;
                    of[OF_ALPHA] += dez - dez * value.p;
                    a = value.a();
                    if (!DICE) return e_slope;
                    const V eq = de * value.q();
                    of[OF_Q] += eq;
                    of[OF_Q_ZN] += eq * value.zn;
                    return e_slope + eq * f.inverse;
                };
                for (int64_t k = 0; k < TILE_ROWS; k += 2) {
                    V a_0, a_1;
                    const V dz_0 = one(k, a_0), dz_1 = one(k + 1, a_1);
                    s.dz1.write(i + k, channel, dz_0, dz_1);
                    F::pair(s.a1.panel(j) + c, columns, i + k, F::round(a_0, a_1));
                }
                for (int k = 0; k < N_SUMS; ++k)
                    if (DICE || k == OF_SLOPE || k == OF_ALPHA)
                        add(&sums.chunk[k * width1 + channel], of[k]);
            }
        }
    }

    // dW2 += dz2^T a1 for the channels of panel j.
    void weights(Work& s, Share& share, int64_t j, int64_t n) const {
        const int64_t column = j * w2_back.columns;
        const int64_t positions = round_up(n, TILE_ROWS) / F::PER_UNIT;
        for (int64_t i = 0; i < width2; i += TILE_ROWS) {
            float* d_w = &share.d_w2[i * width1 + column];
            s.a1.template multiply<false>(d_w, width1, &s.dz2_pairs[i], width2, j, positions, d_w,
                                          width1);
        }
    }

    // What goes back through the brackets for the channels of panel j.
    void terms(Work& s, Share& share, int64_t j) const {
        const Runs& runs = s.first.runs;
        const CandidateTerms& of = s.first.terms;
        const int64_t columns = w2_back.columns, column = j * columns;
        for (int64_t run = 0; run < runs.count; ++run)
            for (int64_t c = 0; c < columns; c += LANES) {
                V total = all(0);
                for (int64_t i = runs.begin[run]; i < runs.begin[run + 1]; ++i)
                    total += load(&s.dz1.exact[i * width1 + column + c]);
                store(s.d_term.panel(j) + run * columns + c, total);
            }
        for (int64_t i = 0; i < of.k; i += TILE_ROWS) {
            float* d_w = &share.d_terms[i * width1 + column];
            s.d_term.template multiply<false>(d_w, width1, &of.rows[i], of.width, j, runs.count,
                                              d_w, width1);
        }
        back_through(s, target_back, j, s.dt);
        if (of.centred) back_through(s, product_back, j, s.dt_of_mean);
    }
    // d_x += d_term W for each run.
    void back_through(Work& s, const Panels<Float32>& w, int64_t j, Buffer<float>& d_x) const {
        const int64_t columns = w2_back.columns;
        for (int64_t k = 0; k < w.count; ++k)
            for (int64_t i = 0; i < s.first.runs.count; i += TILE_ROWS) {
                float* to = &d_x[i * width_d + k * w.columns];
                w.multiply_part<true>(to, width_d, s.d_term.panel(j) + i * columns, columns, k,
                                      j * columns, columns, to, width_d);
            }
    }

    // For columns of panel j: dM of each run, and from there dWh, dWp and dt.
    template <int NV>
    void candidates(Work& s, Share& share, int64_t j) const {
        constexpr int ROWS = TILE_ROWS / NV;  // of three tiles that stay in registers
        const Runs& runs = s.first.runs;
        const int64_t column = j * NV * LANES;
        const float* history = &s.first.history.exact[column];
        for (int64_t channel = 0; channel < width1; channel += ROWS) {
            V d_plain[ROWS][NV], d_product[ROWS][NV];
            for_tile<ROWS, NV>([&](int i, int v) {
                const int64_t place = (channel + i) * width_d + column + v * LANES;
                d_plain[i][v] = load(&share.d_plain[place]);
                d_product[i][v] = load(&share.d_product[place]);
            });
            for (int64_t run = 0; run < runs.count; ++run) {
                V d_m[ROWS][NV] = {};
                for (int64_t i = runs.begin[run]; i < runs.begin[run + 1]; ++i) {
                    V h[NV];
                    for (int v = 0; v < NV; ++v) h[v] = load(history + i * width_d + v * LANES);
                    const float* dz = &s.dz1.exact[i * width1 + channel];
                    for_tile<ROWS, NV>([&](int k, int v) {
                        d_m[k][v] = multiply_add(all(dz[k]), h[v], d_m[k][v]);
                    });
                }
                V t[NV], dt[NV];
                float* to = &s.dt[run * width_d + column];
                for (int v = 0; v < NV; ++v) {
                    t[v] = load(&runs.t[run * width_d + column + v * LANES]);
                    dt[v] = load(to + v * LANES);
                }
                const float* w = product_back.panel(j) + channel * NV * LANES;
                for_tile<ROWS, NV>([&](int i, int v) {
                    d_plain[i][v] += d_m[i][v];
                    d_product[i][v] = multiply_add(d_m[i][v], t[v], d_product[i][v]);
                    dt[v] = multiply_add(d_m[i][v], load(w + (i * NV + v) * LANES), dt[v]);
                });
                for (int v = 0; v < NV; ++v) store(to + v * LANES, dt[v]);
            }
            for_tile<ROWS, NV>([&](int i, int v) {
                const int64_t place = (channel + i) * width_d + column + v * LANES;
                store(&share.d_plain[place], d_plain[i][v]);
                store(&share.d_product[place], d_product[i][v]);
            });
        }
    }

    // dh = dz1 M for columns of panel j of a run.
    void history(Work& s, int64_t j, int64_t run) const {
        const Runs& runs = s.first.runs;
        const int64_t column = j * plain_back.columns, begin = runs.begin[run];
        multiply_mixed<F, false>(plain_back, product_back, j, &runs.t[run * width_d + column],
                                 runs.length(run), zero.get(), s.dz1.row(begin), s.dz1.ld,
                                 &s.dh[begin * width_d + column], width_d);
    }

    // The gradients of histories and targets.
    void inputs(Work& s, int64_t first) const {
        const Runs& runs = s.first.runs;
        const CandidateTerms& terms = s.first.terms;
        for (int64_t run = 0; run < runs.count; ++run) {
            const int64_t b = runs.sample[run];
            const float* d_pooled = out.d_pooled + b * u.dim;
            const float* d_sum = out.d_sums ? out.d_sums + b * u.dim : zero.get();
            for (int64_t i = runs.begin[run]; i < runs.begin[run + 1]; ++i) {
                float* d_h = out.d_history + (first + i) * u.dim;
                const float score = out.scores[first + i];
                for (int64_t d = 0; d < u.dim; ++d)
                    d_h[d] = score * d_pooled[d] + d_sum[d] + s.dh[i * width_d + d];
            }
            float* d_t = out.d_target + b * u.dim;
            for (int64_t d = 0; d < u.dim; ++d)
                d_t[d] += s.dt[run * width_d + d]
                          + terms.mean[u.dim + d] * s.dt_of_mean[run * width_d + d];
        }
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
    if (shares.empty()) return;
    const auto& total = shares[0];
    total.sums.add_to(out.sums1);
    for (size_t share = 1; share < shares.size(); ++share) {
        shares[share].sums.add_to(out.sums1);
        total.add(shares[share]);
    }
    const bool centred = u.centred();
    for (int64_t i = 0; i < u.hidden1; ++i)
        for (int64_t d = 0; d < u.dim; ++d) {
            float* to = out.d_w1 + i * 3 * u.dim + d;
            const int64_t width1 = pass.width1, place = i * pass.width_d + d;
            to[0] = total.d_terms[d * width1 + i];
            to[u.dim] = total.d_plain[place];
            to[2 * u.dim] = total.d_product[place];
            if (centred) to[2 * u.dim] += total.d_terms[(u.dim + d) * width1 + i];
        }
    for (int64_t k = 0; k < u.hidden2; ++k)
        for (int64_t i = 0; i < u.hidden1; ++i)
            out.d_w2[k * u.hidden1 + i] = total.d_w2[k * u.width1() + i];
}

}  // namespace
