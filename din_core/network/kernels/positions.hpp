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
    Layer layer1, layer2;

    int64_t width1() const { return round_up(hidden1, WIDTH_STEP); }
    int64_t width2() const { return round_up(hidden2, WIDTH_STEP); }
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

// x - mean of a chunk, with or without its part t: by rows, and with the positions as k of a
// product. Rows after the last are zero.
template <class F>
struct Inputs {
    const Unit& u;
    int64_t skipped, n, width, ld;
    Buffer<typename F::Unit> rows, pairs;
    Buffer<float> x, mean;
    Buffer<int64_t> sample;  // of each row
    Inputs(const Unit& unit, bool with_target)
        : u(unit), skipped(with_target ? 0 : u.dim), n(3 * u.dim - skipped),
          width(round_up(n, WIDTH_STEP)), ld(width / F::PER_UNIT), rows(CHUNK * ld),
          pairs(CHUNK / F::PER_UNIT * width), x(2 * width),
          mean(padded(u.input_mean + skipped, n, width)), sample(CHUNK) {}

    void fill(int64_t first, int64_t count) {
        const int64_t end = round_up(count, TILE_ROWS);
        for (int64_t i = 0; i < count; ++i) sample[i] = u.segment_ids[first + i];
        for (int64_t i = 0; i < end; i += 2) {
            for (int64_t k = 0; k < 2; ++k)
                if (i + k < count) one(&x[k * width], first + i + k, sample[i + k]);
                else std::memset(&x[k * width], 0, width * sizeof(float));
            for (int64_t c = 0; c < width; c += LANES) {
                const auto two = F::round(load(&x[c]), load(&x[width + c]));
                F::rows(&rows[i * ld], ld, c, two);
                F::pair(&pairs[c], width, i, two);
            }
        }
    }
    void one(float* to, int64_t p, int64_t b) const {
        const int64_t dim = u.dim;
        const float *t = u.target + b * dim, *h = u.history + p * dim;
        if (!skipped) {
            for (int64_t d = 0; d < dim; ++d) to[d] = t[d];
            to += dim;
        }
        for (int64_t d = 0; d < dim; ++d) to[d] = h[d];
        for (int64_t d = 0; d < dim; ++d) to[dim + d] = t[d] * h[d];
        to -= dim - skipped;
        for (int64_t c = 0; c < width; c += LANES) store(to + c, load(to + c) - load(&mean[c]));
    }
    // Adds the gradient of x to those of t and h.
    void scatter(const float* dx, int64_t p, int64_t b, float* d_target, float* d_history) const {
        const int64_t dim = u.dim;
        const float *t = u.target + b * dim, *h = u.history + p * dim;
        const float *dx_h = dx + dim - skipped, *dx_product = dx_h + dim;
        float *dt = d_target + b * dim, *dh = d_history + p * dim;
        if (!skipped)
            for (int64_t d = 0; d < dim; ++d) dt[d] += dx[d];
        for (int64_t d = 0; d < dim; ++d) dt[d] += dx_product[d] * h[d];
        for (int64_t d = 0; d < dim; ++d) dh[d] += dx_h[d] + dx_product[d] * t[d];
    }
};

// The target's share of z1, start + Wt (t - mean), once for each sample of a chunk; and the
// gradient that reaches it, the sum of dz1 over the sample's positions. In float32: little work.
struct Targets {
    const Unit& u;
    int64_t ld, count;
    Buffer<int64_t> sample, place;  // of each target; and where a row's target stands in a panel
    Buffer<float> start, mean, t;
    Panels<Float32> weight, term, d_term;  // [D, H1], and [targets, H1]
    explicit Targets(const Unit& unit)
        : u(unit), ld(round_up(u.dim, WIDTH_STEP)), count(0), sample(CHUNK), place(CHUNK),
          start(padded(u.layer1.start, u.hidden1, u.width1())),
          mean(padded(u.input_mean, u.dim, ld)), t(CHUNK * ld), weight(u.dim, u.width1()),
          term(CHUNK, u.width1()), d_term(CHUNK, u.width1()) {
        weight.pack(u.w1, u.dim, 1, u.hidden1, 3 * u.dim);
    }
    void fill(int64_t first, int64_t n) {
        count = 0;
        for (int64_t i = 0; i < n; ++i) {
            const int64_t b = u.segment_ids[first + i];
            if (i == 0 || b != sample[count - 1]) {
                for (int64_t d = 0; d < u.dim; ++d)
                    t[count * ld + d] = u.target[b * u.dim + d] - mean[d];
                sample[count++] = b;
            }
            place[i] = (count - 1) * term.columns;
        }
        for (int64_t i = n; i < round_up(n, TILE_ROWS); ++i) place[i] = place[n - 1];
        for (int64_t j = 0; j < weight.count; ++j)
            for (int64_t i = 0; i < count; i += TILE_ROWS)
                weight.multiply<true>(&start[j * term.columns], 0, &t[i * ld], ld, j, u.dim,
                                      term.panel(j) + i * term.columns, term.columns);
    }
};

}  // namespace
