// The passes of the backward; the second one is in hidden_gradients.hpp. See positions.hpp for the
// formulas and the notation.
#pragma once

#include "hidden_gradients.hpp"

namespace {

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
            for (int64_t p = first; p < last; ++p)
                d_scores[p] = inner_product(d_pooled + u.segment_ids[p] * u.dim,
                                            u.history + p * u.dim, u.dim);
            for (int64_t at = first; at < last; at += BLOCK)
                for (int64_t c = 0; c < width2; c += LANES) {
                    const auto f = f2.channels(c);
                    V of[N_SUMS] = {};
                    for (int64_t p = at; p < std::min(at + BLOCK, last); ++p) {
                        const auto value = f.at(F::read(z2 + p * z2_ld, c));
                        const V e = all(d_scores[p]), ez = e * value.z;
                        of[OF_SLOPE] += e * value.slope;
                        of[OF_A] += ez * value.slope;
                        of[OF_ALPHA] += ez - ez * value.p;
                        if (!DICE) continue;
                        const V eq = e * value.q();
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

// Third pass, for batch statistics only: what z1's mean and deviation add to the gradient of x,
// matrix (x - mean) + constant, for every position.
void statistics_gradients(const Unit& u, const float* matrix, const float* constant,
                          float* d_target, float* d_history) {
    const int64_t n_inputs = 3 * u.dim, width = round_up(n_inputs, WIDTH_STEP);
    Panels<Float32> right(n_inputs, width);
    right.pack(matrix, n_inputs, n_inputs, n_inputs, 1);
    const Buffer<float> start = padded(constant, n_inputs, width);
    struct Work {
        Inputs inputs;
        Buffer<float> dx;
    };
    const auto make_work = [&] { return Work{Inputs(u), Buffer<float>(CHUNK * width)}; };
    for_shares(u, make_work, [&](Work& work, int64_t, int64_t begin, int64_t end) {
        Inputs& inputs = work.inputs;
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
