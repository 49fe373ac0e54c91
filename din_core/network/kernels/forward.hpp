// The passes of the forward. See positions.hpp and candidates.hpp for formulas and notation.
#pragma once

#include "candidates.hpp"

namespace {

// Sums of x - input_mean and of its outer product with itself: what the statistics of
// z1 = W1 x + b1 follow from.
void moments(const Unit& u, double* sum_x, double* sum_xx) {
    const int64_t width = round_up(3 * u.dim, WIDTH_STEP);
    std::vector<Sums> first_order = sums_of_shares(u, 1, width);
    std::vector<Sums> second_order = sums_of_shares(u, width, width);
    struct Work {
        Inputs inputs;
        Panels<Float32> right;
    };
    const auto make_work = [&] { return Work{Inputs(u), {CHUNK, width}}; };
    for_shares(u, make_work, [&](Work& work, int64_t share, int64_t begin, int64_t end) {
        Inputs& inputs = work.inputs;
        const Panels<Float32>& right = work.right;
        float *to = first_order[share].chunk.get(), *to_squares = second_order[share].chunk.get();
        for (int64_t first = begin; first < end; first += CHUNK) {
            const int64_t n = std::min<int64_t>(CHUNK, end - first);
            inputs.fill(first, n);
            for (int64_t c = 0; c < width; c += LANES) {
                float* panel = right.panel(c / right.columns) + c % right.columns;
                V total = all(0);
                for (int64_t i = 0; i < n; ++i) {
                    const V x = load(&inputs.rows[i * width + c]);
                    store(panel + i * right.columns, x);
                    total += x;
                }
                add(to + c, total);
            }
            for (int64_t j = 0; j < right.count; ++j)  // the lower triangle mirrors the upper one
                for (int64_t i = 0; i < std::min(3 * u.dim, (j + 1) * right.columns);
                     i += TILE_ROWS) {
                    float* c = to_squares + i * width + j * right.columns;
                    right.multiply<false>(c, width, &inputs.rows[i], width, j, n, c, width);
                }
            first_order[share].flush();
            second_order[share].flush();
        }
    });
    for (const Sums& s : first_order) s.add_to(sum_x);
    for (const Sums& s : second_order) s.add_to(sum_xx);
    for (int64_t i = 0; i < width; ++i)
        for (int64_t j = 0; j < i; ++j) sum_xx[i * width + j] = sum_xx[j * width + i];
}

// First pass: z2 of every position, stored as z2 - centre, and for Dice the sums of it and of its
// square.
// With `find_centre`, it becomes the mean over the first chunk: close to the mean, so
// that neither the storage in bfloat16 nor the variance from sums loses digits.
template <class F, bool DICE>
void hidden(const Unit& u, float* centre, bool find_centre, typename F::Unit* z2,
            double* sums2) {
    const int64_t width1 = u.width1(), width2 = u.width2();
    const int64_t a1_ld = width1 / F::PER_UNIT, z2_ld = width2 / F::PER_UNIT;
    const Activation<DICE, F::SHORT> f1(u.layer1, u.hidden1, width1);
    const FirstLayer<F> first_layer(u);
    Panels<F> w2(width1, width2);
    w2.pack(u.w2, u.hidden1, 1, u.hidden2, u.hidden1);
    const Buffer<float> start2 = padded(u.layer2.start, u.hidden2, width2);

    struct Work {
        typename FirstLayer<F>::Work first;
        Buffer<typename F::Unit> a1;
    };
    const auto make_work = [&] {
        return Work{typename FirstLayer<F>::Work(u), Buffer<typename F::Unit>(CHUNK * a1_ld)};
    };
    const auto run = [&](Work& work, int64_t begin, int64_t end, Sums& sums) {
        const Buffer<typename F::Unit>& a1 = work.a1;
        alignas(64) float z[TILE_ROWS * 2 * LANES];
        for (int64_t first = begin; first < end; first += CHUNK) {
            const int64_t n = std::min<int64_t>(CHUNK, end - first);
            work.first.fill(first, n);
            const int64_t columns = first_layer.plain.columns;
            for (int64_t j = 0; j < first_layer.plain.count; ++j) {
                first_layer.panel(work.first, j, n);
                for (int64_t c = 0; c < columns; c += LANES) {
                    const auto f = f1.channels(j * columns + c);
                    const float* z_c = &work.first.z[c];
                    for (int64_t i = 0; i < n; i += 2)
                        F::rows(&a1[i * a1_ld], a1_ld, j * columns + c,
                                F::round(f.at(load(z_c + i * columns)).a(),
                                         f.at(load(z_c + (i + 1) * columns)).a()));
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
                            if (!DICE) continue;
                            total += value;
                            squares += value * value;
                        }
                        if (!DICE) continue;
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
        Work work = make_work();
        run(work, 0, n, of_first);
        for (int64_t c = 0; c < u.hidden2; ++c) {
            centre[c] = (float)(of_first.total[c] / n);
            start2[c] -= centre[c];
        }
    }
    std::vector<Sums> sums = sums_of_shares(u, 2, width2);
    for_shares(u, make_work, [&](Work& work, int64_t share, int64_t begin, int64_t end) {
        run(work, begin, end, sums[share]);
    });
    if (!DICE) return;
    for (const Sums& s : sums) s.add_to(sums2);
}

// Second pass: a2, the scores, and the pooled histories; and their plain sums, unless `sums` is
// null.
template <class F, bool DICE>
void pool(const Unit& u, const typename F::Unit* z2, float* scores, float* pooled, float* sums) {
    const int64_t width2 = u.width2(), z2_ld = width2 / F::PER_UNIT;
    const Activation<DICE, F::SHORT> f2(u.layer2, u.hidden2, width2);
    const Buffer<float> w3 = padded(u.w3, u.hidden2, width2);
    const auto no_work = [] { return 0; };
    for_shares(u, no_work, [&](int, int64_t, int64_t begin, int64_t end) {
        for (int64_t first = begin; first < end; first += BLOCK) {
            const int64_t n = std::min<int64_t>(BLOCK, end - first);
            V weighted[BLOCK];
            for (V& w : weighted) w = all(0);
            for (int64_t c = 0; c < width2; c += LANES) {
                const auto f = f2.channels(c);
                for (int64_t i = 0; i < n; ++i)
                    weighted[i] += load(&w3[c]) * f.at(F::read(z2 + (first + i) * z2_ld, c)).a();
            }
            for (int64_t i = 0; i < n; ++i) {
                const int64_t p = first + i;
                scores[p] = sum(weighted[i]) + *u.b3 + (u.biases ? u.biases[p] : 0);
                const float* h = u.history + p * u.dim;
                float* to = pooled + u.segment_ids[p] * u.dim;
                for (int64_t d = 0; d < u.dim; ++d) to[d] += scores[p] * h[d];
                if (!sums) continue;
                float* to_sum = sums + u.segment_ids[p] * u.dim;
                for (int64_t d = 0; d < u.dim; ++d) to_sum[d] += h[d];
            }
        }
    });
}

}  // namespace
