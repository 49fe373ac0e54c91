// DIN's activation unit with two hidden layers of Dice (or PReLU), forward and backward.
//
// What belongs here: what the passes over the history positions share. For position p of sample
// b = segment_ids[p]
//     x  = [t_b, h_p, t_b * h_p]                          3 D
//     z1 = W1 x + b1         a1 = f(z1)                   H1
//     z2 = W2 a1 + b2        a2 = f(z2)                   H2
//     s  = w3 . a2 + b3      pooled_b = sum_p s_p h_p
// Dice:  f(z) = z * slope(z),  slope = alpha + (1 - alpha) p,  p = sigmoid(zn),  zn = (z - m) / sd
// PReLU is the same with p = [z > 0]. The derivative of f, statistics held fixed, is
//     f'(z) = slope + q / sd,  q = (1 - alpha) p (1 - p) z            (q = 0 for PReLU)
// and the statistics of the batch take their share of it: with e = df/da,
//     dz = e f'(z) - (mean(e q) + zn mean(e q zn)) / sd               (means over all positions)
//
// Each pass cuts the positions into chunks that stay in the cache, and computes z1, a1 again
// instead of keeping them: [P, H1] never exists. Only z2 is kept, because Dice must have seen all
// of it before the first a2. activation_unit.py holds the algebra between the passes.
//
// The positions are cut into shares of whole samples. Each share sums up on its own, whichever
// thread takes it, and the sums are then added in order: the result depends neither on the number
// of threads nor on their timing, and a thread that is held up holds up nobody for long.
#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "vectors.hpp"

namespace {

#ifndef CHUNK
#define CHUNK 128
#endif
constexpr int64_t MOST_SHARES = 16;  // and so the most threads that find work
constexpr int64_t BLOCK = 8;  // positions whose kept z2 is read front to back

struct Layer {
    const float* start;    // what the computation of z starts from: b less some centre
    const float* offset;   // mean - centre, so that z - mean + offset is what is computed
    const float* mean;     // m, zero for PReLU
    const float* inverse;  // 1 / sd, zero for PReLU
    const float* alpha;
};

struct Unit {
    int64_t samples, positions, dim, hidden1, hidden2, threads, dice, bfloat16;
    const float *target, *history;
    const int64_t* segment_ids;
    const float* input_mean;  // subtracted from x: about the batch mean for Dice in training
    const float *w1, *w2, *w3, *b3;
    const float* biases;  // added to the score of each position, or null
    Layer layer1, layer2;

    int64_t width1() const { return round_up(hidden1, WIDTH_STEP); }
    int64_t width2() const { return round_up(hidden2, WIDTH_STEP); }
    bool centred() const {  // whether there is a mean to subtract
        return std::any_of(input_mean, input_mean + 3 * dim, [](float m) { return m != 0; });
    }
    int64_t shares() const {
        return std::min<int64_t>(MOST_SHARES, (positions + CHUNK - 1) / CHUNK);
    }
    // First position of a share, moved on to where a sample begins.
    int64_t boundary(int64_t share) const {
        int64_t p = positions * share / shares();
        while (p > 0 && p < positions && segment_ids[p] == segment_ids[p - 1]) ++p;
        return p;
    }
};

// Calls body(work, share, first position, end) for every share; each thread makes its own `work`.
// The threads are torch's: its OpenMP runtime is loaded already, and answers here too. Threads of
// our own would compete with torch's, which spin for milliseconds after each of its operations.
template <class MakeWork, class Body>
void for_shares(const Unit& u, const MakeWork& make_work, const Body& body) {
    const int64_t shares = u.shares(), threads = std::min(u.threads, shares);
#pragma omp parallel num_threads((int)threads) if (threads > 1)
    {
        auto work = make_work();
#pragma omp for schedule(dynamic, 1)
        for (int64_t share = 0; share < shares; ++share)
            body(work, share, u.boundary(share), u.boundary(share + 1));
    }
}

// Several sums for every channel: float within a chunk, double across chunks and shares.
struct Sums {
    int64_t n;
    Buffer<float> chunk;
    Buffer<double> total;
    Sums(int64_t sums, int64_t width) : n(sums * width), chunk(n), total(n) {}
    void flush() {
        for (int64_t i = 0; i < n; ++i) total[i] += chunk[i], chunk[i] = 0;
    }
    void add_to(double* out) const {
        for (int64_t i = 0; i < n; ++i) out[i] += total[i];
    }
};

std::vector<Sums> sums_of_shares(const Unit& u, int64_t sums, int64_t width) {
    std::vector<Sums> all;
    for (int64_t share = 0; share < u.shares(); ++share) all.emplace_back(sums, width);
    return all;
}

INLINE void add(float* p, V v) { store(p, load(p) + v); }

Buffer<float> padded(const float* values, int64_t n, int64_t width) {
    Buffer<float> copy(width);
    if (values) std::copy(values, values + n, copy.get());
    return copy;
}

// A layer's constants, padded with channels that stay zero, and f for LANES channels at a time.
template <bool DICE, bool SHORT>
struct Activation {
    Buffer<float> offset, mean, inverse, alpha;
    Activation(const Layer& l, int64_t n, int64_t width)
        : offset(padded(l.offset, n, width)), mean(padded(l.mean, n, width)),
          inverse(padded(l.inverse, n, width)), alpha(padded(l.alpha, n, width)) {}

    struct Channels {
        V shift, zn_shift, inverse, alpha, beta;
        struct Value {
            V z, zn, p, beta_p, slope;
            INLINE V a() const { return z * slope; }
            INLINE V q() const { return DICE ? (beta_p - beta_p * p) * z : all(0); }
        };
        INLINE Value at(V computed) const {
            Value value;
            value.z = computed + shift;
            value.zn = computed * inverse + zn_shift;
            if (DICE) value.p = sigmoid<SHORT>(value.zn);
            else value.p = value.z > all(0) ? all(1) : all(0);
            value.beta_p = beta * value.p;
            value.slope = alpha + value.beta_p;
            return value;
        }
    };
    INLINE Channels channels(int64_t c) const {
        const V o = load(&offset[c]), s = load(&inverse[c]), a = load(&alpha[c]);
        return {load(&mean[c]) - o, -o * s, s, a, 1.f - a};
    }
};

// x - mean of a chunk, in float32: what the statistics of the batch are made of. Rows after the
// last are zero.
struct Inputs {
    const Unit& u;
    int64_t width;
    Buffer<float> rows, mean;
    Buffer<int64_t> sample;  // of each row
    explicit Inputs(const Unit& unit)
        : u(unit), width(round_up(3 * u.dim, WIDTH_STEP)), rows(CHUNK * width),
          mean(padded(u.input_mean, 3 * u.dim, width)), sample(CHUNK) {}

    void fill(int64_t first, int64_t count) {
        for (int64_t i = 0; i < count; ++i) {
            sample[i] = u.segment_ids[first + i];
            one(&rows[i * width], first + i, sample[i]);
        }
        std::memset(&rows[count * width], 0,
                    (round_up(count, TILE_ROWS) - count) * width * sizeof(float));
    }
    void one(float* to, int64_t p, int64_t b) const {
        const int64_t dim = u.dim;
        const float *t = u.target + b * dim, *h = u.history + p * dim;
        for (int64_t d = 0; d < dim; ++d) to[d] = t[d];
        for (int64_t d = 0; d < dim; ++d) to[dim + d] = h[d];
        for (int64_t d = 0; d < dim; ++d) to[2 * dim + d] = t[d] * h[d];
        for (int64_t c = 0; c < width; c += LANES) store(to + c, load(to + c) - load(&mean[c]));
    }
    // Adds the gradient of x to those of t and h.
    void scatter(const float* dx, int64_t p, int64_t b, float* d_target, float* d_history) const {
        const int64_t dim = u.dim;
        const float *t = u.target + b * dim, *h = u.history + p * dim;
        const float *dx_h = dx + dim, *dx_product = dx_h + dim;
        float *dt = d_target + b * dim, *dh = d_history + p * dim;
        for (int64_t d = 0; d < dim; ++d) dt[d] += dx[d] + dx_product[d] * h[d];
        for (int64_t d = 0; d < dim; ++d) dh[d] += dx_h[d] + dx_product[d] * t[d];
    }
};

}  // namespace
