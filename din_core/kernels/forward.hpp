// The passes of the forward. See positions.hpp for the formulas and the notation.
#pragma once

#include "positions.hpp"

namespace {

// Mean of x (where `covariance` is null), or the covariance of x about u.input_mean: what the
// statistics of z1 = W1 x + b1 follow from.
void moments(const Unit& u, double* mean, double* covariance) {
    const int64_t width = u.inputs(), rows = covariance ? width : 1;
    std::vector<Sums> sums;
    for (int64_t s = 0; s < u.threads; ++s) sums.emplace_back(rows, width);
    for_shares(u, [&](int64_t share, int64_t begin, int64_t end) {
        Inputs<Float32> inputs(u);
        Panels<Float32> right(CHUNK, width);
        float* to = sums[share].chunk.get();
        for (int64_t first = begin; first < end; first += CHUNK) {
            const int64_t n = std::min<int64_t>(CHUNK, end - first);
            inputs.fill(first, n);
            for (int64_t i = 0; i < n; ++i)
                for (int64_t c = 0; c < width; c += LANES) {
                    const V x = load(&inputs.rows[i * width + c]);
                    if (!covariance) add(to + c, x);
                    else store(right.panel(c / right.columns) + i * right.columns +
                                   c % right.columns, x);
                }
            for (int64_t j = 0; covariance && j < right.count; ++j)
                for (int64_t i = 0; i < width; i += TILE_ROWS) {
                    float* c = to + i * width + j * right.columns;
                    right.multiply<false>(c, width, &inputs.rows[i], width, j, n, c, width);
                }
            sums[share].flush();
        }
    });
    for (const Sums& s : sums) s.add_to(covariance ? covariance : mean);
    for (int64_t i = 0; i < rows * width; ++i) (covariance ? covariance : mean)[i] /= u.positions;
}

// First pass: z2 of every position, stored as z2 - centre, and the sums of it and of its square.
// Where `centre` is not given, it becomes the mean over the first chunk: close to the mean, so
// that neither the storage in bfloat16 nor the variance from sums loses digits.
template <class F, bool DICE>
void hidden(const Unit& u, float* centre, bool find_centre, typename F::Unit* z2, double* sums2) {
    const int64_t width1 = u.width1(), width2 = u.width2(), z2_ld = width2 / F::PER_UNIT;
    const Activation<DICE, F::SHORT> f1(u.layer1, u.hidden1, width1);
    Panels<F> w1(3 * u.dim, width1), w2(width1, width2);
    w1.pack(u.w1, 3 * u.dim, 1, u.hidden1, 3 * u.dim);
    w2.pack(u.w2, u.hidden1, 1, u.hidden2, u.hidden1);
    Buffer<float> start2 = padded(u.layer2.start, u.hidden2, width2);

    const auto run = [&](int64_t begin, int64_t end, Sums& sums) {
        Inputs<F> inputs(u);
        Buffer<typename F::Unit> a1(CHUNK * width1 / F::PER_UNIT);
        const int64_t a1_ld = width1 / F::PER_UNIT;
        alignas(64) float z[TILE_ROWS * 2 * LANES];
        for (int64_t first = begin; first < end; first += CHUNK) {
            const int64_t n = std::min<int64_t>(CHUNK, end - first);
            inputs.fill(first, n);
            for (int64_t j = 0; j < w1.count; ++j)
                for (int64_t i = 0; i < n; i += TILE_ROWS) {
                    const int64_t column = j * w1.columns;
                    w1.template multiply<true>(&f1.start[column], 0, &inputs.rows[i * inputs.ld],
                                               inputs.ld, j, w1.k_units, z, w1.columns);
                    for (int64_t c = 0; c < w1.columns; c += LANES) {
                        const auto f = f1.channels(column + c);
                        for (int64_t k = 0; k < TILE_ROWS; ++k) {
                            const auto value = f.at(load(z + k * w1.columns + c));
                            F::row(&a1[(i + k) * a1_ld], column + c, value.z * value.slope);
                        }
                    }
                }
            for (int64_t j = 0; j < w2.count; ++j)
                for (int64_t i = 0; i < n; i += TILE_ROWS) {
                    const int64_t column = j * w2.columns;
                    w2.template multiply<true>(&start2[column], 0, &a1[i * a1_ld], a1_ld, j,
                                               w2.k_units, z, w2.columns);
                    const int64_t rows = std::min<int64_t>(TILE_ROWS, n - i);
                    for (int64_t c = 0; c < w2.columns; c += LANES) {
                        V total = all(0), squares = all(0);
                        for (int64_t k = 0; k < rows; ++k) {
                            const V value = load(z + k * w2.columns + c);
                            F::row(z2 + (first + i + k) * z2_ld, column + c, value);
                            total += value;
                            squares += value * value;
                        }
                        add(&sums.chunk[column + c], total);
                        add(&sums.chunk[width2 + column + c], squares);
                    }
                }
            sums.flush();
        }
    };
    if (find_centre && u.positions) {
        const int64_t n = std::min<int64_t>(CHUNK, u.positions);
        Sums of_first(2, width2);
        run(0, n, of_first);
        for (int64_t c = 0; c < u.hidden2; ++c) {
            centre[c] = (float)(of_first.total[c] / n);
            start2[c] -= centre[c];
        }
    }
    std::vector<Sums> sums;
    for (int64_t s = 0; s < u.threads; ++s) sums.emplace_back(2, width2);
    for_shares(u, [&](int64_t s, int64_t begin, int64_t end) { run(begin, end, sums[s]); });
    for (const Sums& s : sums) s.add_to(sums2);
}

// Second pass: a2, the scores, and the pooled histories.
template <class F, bool DICE>
void pool(const Unit& u, const typename F::Unit* z2, float* scores, float* pooled) {
    const int64_t width2 = u.width2(), z2_ld = width2 / F::PER_UNIT;
    const Activation<DICE, F::SHORT> f2(u.layer2, u.hidden2, width2);
    const Buffer<float> w3 = padded(u.w3, u.hidden2, width2);
    for_shares(u, [&](int64_t, int64_t begin, int64_t end) {
        for (int64_t p = begin; p < end; ++p) {
            V weighted = all(0);
            for (int64_t c = 0; c < width2; c += LANES) {
                const auto value = f2.channels(c).at(F::read(z2 + p * z2_ld, c));
                weighted += load(&w3[c]) * value.z * value.slope;
            }
            scores[p] = sum(weighted) + *u.b3;
            const float* h = u.history + p * u.dim;
            float* to = pooled + u.row[p] * u.dim;
            for (int64_t d = 0; d < u.dim; ++d) to[d] += scores[p] * h[d];
        }
    });
}

}  // namespace
