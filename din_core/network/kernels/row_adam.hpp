// Adam on embedding rows at hand, and the average of their weights.
//
// din_core.training.row_adam.py and averaging.py have the formulas, in torch, and say what they
// are for; here a row is gone through once and not some forty times. What depends on the number of
// missed steps alone is computed in double precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "vectors.hpp"

namespace {

struct AdamRows {
    int64_t rows, width;
    const int64_t* index;     // of each row at hand in its table
    float *weight, *moments;  // at hand: [rows, width], [rows, 2, width]
    int64_t n_steps, longest_gap;
    double learning_rate, l2, beta_1, beta_2, eps;
};

// What the missed steps do to any row that has missed as many.
struct Missed {
    double coasting, pulled, fade_m, fade_v;  // lengths of the steps, in step sizes
    Missed(const AdamRows& a, double missed) {
        const double since = a.n_steps - missed, root_2 = std::sqrt(a.beta_2);
        const double ratio = a.beta_1 / root_2;
        const double middle = since + std::min((missed + 1) / 2, 1 / (1 - ratio));
        const double steps = ratio * (1 - std::pow(ratio, missed)) / (1 - ratio)
                             * std::sqrt(1 - std::pow(a.beta_2, middle));
        coasting = steps / (1 - std::pow(a.beta_1, since + 1));
        pulled = std::max(0., plain_steps(a, since, missed) - steps);
        fade_m = std::pow(a.beta_1, missed);
        fade_v = std::pow(a.beta_2, missed);
    }
    // The integral of sqrt(x - b) / x from 1/2 to missed + 1/2, x = beta_2^-i and b = beta_2^since.
    static double plain_steps(const AdamRows& a, double since, double missed) {
        const double log = -std::log(a.beta_2), b = std::exp(-log * since);
        const auto root = [&](double i) { return std::sqrt(std::exp(log * i) - b); };
        const double first = root(.5), last = root(std::min<double>(missed, a.longest_gap) + .5);
        const double of_b = std::sqrt(b);
        return 2 / log * (last - first - of_b * (std::atan(last / of_b) - std::atan(first / of_b)));
    }
};

// Makes up for the steps that rows missed.
void advance(const AdamRows& a, const int32_t* last_step) {
    // Most rows missed a few steps, and many as few as each other.
    constexpr int64_t REMEMBERED = 64;
    std::vector<Missed> remembered;
    const int64_t width = a.width, padded_width = round_up(width, WIDTH_STEP);
    const Buffer<float> decay(padded_width);
    const float rate = (float)a.learning_rate, l2 = (float)a.l2, eps = (float)a.eps;
    for (int64_t i = 0; i < std::min(REMEMBERED, a.n_steps + 1); ++i)
        remembered.emplace_back(a, (double)i);
    for (int64_t r = 0; r < a.rows; ++r) {
        const int64_t missed = a.n_steps - last_step[a.index[r]];
        if (missed == 0) continue;
        const Missed by = missed < (int64_t)remembered.size() ? remembered[missed]
                                                              : Missed(a, (double)missed);
        float *w = a.weight + r * width, *m = a.moments + 2 * r * width, *v = m + width;
        const float coasting = rate * (float)by.coasting, pull = rate * l2 * (float)by.pulled;
        const float most = rate * (float)missed;
        const float keep_m = (float)by.fade_m, take_m = (float)(1 - by.fade_m);
        const float keep_v = (float)by.fade_v, take_v = (float)(1 - by.fade_v);
        if (l2 != 0) {
            for (int64_t d = 0; d < width; ++d) decay[d] = pull / (std::sqrt(v[d]) + eps);
            for (int64_t d = 0; d < padded_width; d += LANES)
                store(&decay[d], exponential(-load(&decay[d])));
        }
        for (int64_t d = 0; d < width; ++d) {
            float moved = w[d] - coasting * m[d] / (std::sqrt(v[d]) + eps);
            if (l2 != 0) {
                const float size = std::fabs(w[d]), least = size - most;
                float kept = size * decay[d];
                kept = least > kept ? least : kept;
                moved += std::copysign(kept, w[d]) - w[d];
            }
            const float gradient = l2 * moved;
            w[d] = moved;
            m[d] = keep_m * m[d] + take_m * gradient;
            v[d] = keep_v * v[d] + take_v * (gradient * gradient);
        }
    }
}

// Adam's step for rows at hand, into their tables. Their gradient is the sum of one or more parts,
// in their order.
void update(const AdamRows& a, const float* const* parts, int64_t n_parts, float* table,
            float* table_moments, int32_t* last_step) {
    const int64_t width = a.width;
    const double n = (double)std::max<int64_t>(a.n_steps, 1);
    const float step = (float)(a.learning_rate / (1 - std::pow(a.beta_1, n)));
    const float root_correction = (float)std::sqrt(1 - std::pow(a.beta_2, n));
    const float take_m = (float)(1 - a.beta_1), take_v = (float)(1 - a.beta_2);
    const float keep_v = (float)a.beta_2, l2 = (float)a.l2, eps = (float)a.eps;
    const Buffer<float> sum(width);
    for (int64_t r = 0; r < a.rows; ++r) {
        const float *w = a.weight + r * width, *m = a.moments + 2 * r * width, *v = m + width;
        const float* g = parts[0] + r * width;
        if (n_parts > 1) {
            std::copy(g, g + width, sum.get());
            for (int64_t part = 1; part < n_parts; ++part)
                for (int64_t d = 0; d < width; ++d) sum[d] += parts[part][r * width + d];
            g = sum.get();
        }
        float* to = table + a.index[r] * width;
        float *to_m = table_moments + 2 * a.index[r] * width, *to_v = to_m + width;
        for (int64_t d = 0; d < width; ++d) {
            const float of_d = g[d] + l2 * w[d];
            const float first = m[d] + take_m * (of_d - m[d]);
            const float second = keep_v * v[d] + take_v * (of_d * of_d);
            to[d] = w[d] - step * (first / (std::sqrt(second) / root_correction + eps));
            to_m[d] = first;
            to_v[d] = second;
        }
        last_step[a.index[r]] = (int32_t)a.n_steps;
    }
}

// Lets rows pull their average for the steps so far: log is that of the product of all decays
// until their last update, and becomes log_product.
void catch_up(int64_t rows, int64_t width, const int64_t* index, const float* weight,
              float* average, double* log, double log_product) {
    for (int64_t r = 0; r < rows; ++r) {
        const float* w = weight + r * width;
        float* to = average + index[r] * width;
        const float factor = (float)std::exp(log_product - log[index[r]]);
        for (int64_t d = 0; d < width; ++d) to[d] = w[d] + factor * (to[d] - w[d]);
        log[index[r]] = log_product;
    }
}

}  // namespace
