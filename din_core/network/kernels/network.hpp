// A Deep Interest Network for some samples, in one call: look-ups, activation units, products, the
// final MLP, and all of it backward.
//
// What belongs here: how the parts are put together, as DIN.interact of
// din_core/network/models/din.py does; it is the reference. Notation: B samples, P positions, D
// width of a unit.
#pragma once

#include "backward.hpp"
#include "forward.hpp"
#include "mlp.hpp"
#include "rows.hpp"

namespace {

// Rows of an embedding table that are at hand, and where their gradient goes.
struct Table {
    int64_t rows, width;
    const float* weight;
    float* gradient;
};

struct Feature {
    int64_t table;
    const int64_t* places;  // among the rows at hand
};

// An activation unit, the histories that it reads side by side, and their targets.
struct Attention {
    int64_t features, dim, hidden1, hidden2, bfloat16, n_biases;
    const Feature *targets, *histories;
    const float *w1, *b1, *alpha1, *w2, *b2, *alpha2, *w3, *b3, *biases;  // w1 is [H1, 4 D]
    float *d_w1, *d_b1, *d_alpha1, *d_w2, *d_b2, *d_alpha2, *d_w3, *d_b3, *d_biases;
};

// Columns of the MLP that belong to no history: a feature that is looked up, or numbers [B, width].
struct Context {
    int64_t width;
    Feature feature;
    const float* numbers;  // null where it is looked up
};

struct Network {
    int64_t samples, positions, threads, bfloat16, with_products;
    int64_t n_tables, n_attentions, n_contexts, n_hidden;
    double n_of_step;
    const int64_t* segment_ids;
    const float* label;  // null where the log-odds are all that is asked for
    float* logits;
    const Table* tables;
    const Attention* attentions;
    const Context* contexts;
    const DenseLayer* layers;  // the hidden ones and the output
};

// Features of one index that are looked up side by side.
struct SideBySide {
    std::vector<const int64_t*> places;
    std::vector<const float*> rows;
    std::vector<float*> gradients;
    std::vector<int64_t> n_rows, widths;
    LookUp lookup;
    SideBySide(const Network& n, int64_t positions, int64_t count, const Feature* features) {
        for (int64_t f = 0; f < count; ++f) {
            const Table& table = n.tables[features[f].table];
            places.push_back(features[f].places);
            rows.push_back(table.weight);
            gradients.push_back(table.gradient);
            n_rows.push_back(table.rows);
            widths.push_back(table.width);
        }
        lookup = {positions, count, n.threads, places.data(), n_rows.data(), widths.data()};
    }
    SideBySide(const SideBySide&) = delete;
};

// One unit with what it reads, computes and gives back.
struct AttentionPass {
    const Network& n;
    const Attention& a;
    SideBySide targets, histories;
    Unit unit = {};
    int64_t dim;
    Buffer<float> zero;
    float *target, *history, *w1, *added, *scores, *pooled, *sums;
    float *d_target, *d_history, *d_w1, *d_scores, *d_pooled, *d_sums;
    void* z2;

    AttentionPass(const Network& network, const Attention& attention, Room& room)
        : n(network), a(attention), targets(n, n.samples, a.features, a.targets),
          histories(n, n.positions, a.features, a.histories), dim(a.dim),
          zero(3 * dim) {
        const int64_t of_samples = n.samples * dim, of_positions = n.positions * dim;
        target = room.take<float>(of_samples);
        d_target = room.take<float>(of_samples);
        pooled = room.take<float>(of_samples);
        d_pooled = room.take<float>(of_samples);
        sums = n.with_products ? room.take<float>(of_samples) : nullptr;
        d_sums = n.with_products ? room.take<float>(of_samples) : nullptr;
        history = room.take<float>(of_positions);
        d_history = room.take<float>(of_positions);
        scores = room.take<float>(n.positions);
        d_scores = room.take<float>(n.positions);
        added = a.biases ? room.take<float>(n.positions) : nullptr;
        w1 = room.take<float>(a.hidden1 * 3 * dim);
        d_w1 = room.take<float>(a.hidden1 * 3 * dim);
        unit.samples = n.samples, unit.positions = n.positions, unit.dim = dim;
        unit.hidden1 = a.hidden1, unit.hidden2 = a.hidden2;
        unit.threads = n.threads, unit.bfloat16 = a.bfloat16;
        unit.target = target, unit.history = history, unit.segment_ids = n.segment_ids;
        unit.input_mean = zero.get();
        unit.w1 = w1, unit.w2 = a.w2, unit.w3 = a.w3, unit.b3 = a.b3, unit.biases = added;
        unit.layer1.start = a.b1, unit.layer1.alpha = a.alpha1;
        unit.layer2.start = a.b2, unit.layer2.alpha = a.alpha2;
        z2 = room.take<float>(n.positions * unit.width2());
    }
    bool is_inside() const {
        return targets.lookup.is_inside() && histories.lookup.is_inside();
    }

    void forward() {
        look_up(targets.lookup, targets.rows.data(), target);
        look_up(histories.lookup, histories.rows.data(), history);
        // The columns t, h, t - h, t * h become t, h, t * h.
        for (int64_t i = 0; i < a.hidden1; ++i)
            for (int64_t d = 0; d < dim; ++d) {
                const float* from = a.w1 + i * 4 * dim + d;
                float* to = w1 + i * 3 * dim + d;
                to[0] = from[0] + from[2 * dim];
                to[dim] = from[dim] - from[2 * dim];
                to[2 * dim] = from[3 * dim];
            }
        if (added) for_biases([&](int64_t p, int64_t j) { added[p] = a.biases[j]; });
        std::memset(pooled, 0, n.samples * dim * sizeof(float));
        if (sums) std::memset(sums, 0, n.samples * dim * sizeof(float));
        with_format([&](auto format) {
            typedef decltype(format) F;
            hidden<F, false>(unit, nullptr, false, static_cast<typename F::Unit*>(z2), nullptr);
            pool<F, false>(unit, static_cast<typename F::Unit*>(z2), scores, pooled, sums);
        });
    }

    // From d_pooled, d_sums and what d_target already holds to everything below.
    void backward() {
        const Buffer<double> sums1(N_SUMS * unit.width1()), sums2(N_SUMS * unit.width2());
        Gradients out = {};
        out.d_scores = d_scores, out.d_pooled = d_pooled, out.scores = scores, out.d_sums = d_sums;
        out.d_target = d_target, out.d_history = d_history, out.d_w1 = d_w1, out.d_w2 = a.d_w2;
        out.sums1 = sums1.get();
        with_format([&](auto format) {
            typedef decltype(format) F;
            output_gradients<F, false>(unit, static_cast<typename F::Unit*>(z2), d_pooled, d_scores,
                                       sums2.get());
            hidden_gradients<F, false>(unit, static_cast<typename F::Unit*>(z2), out);
        });
        for (int64_t i = 0; i < a.hidden1; ++i) {
            for (int64_t d = 0; d < dim; ++d) {
                const float* from = d_w1 + i * 3 * dim + d;
                float* to = a.d_w1 + i * 4 * dim + d;
                to[0] = from[0];
                to[dim] = from[dim];
                to[2 * dim] = from[0] - from[dim];
                to[3 * dim] = from[2 * dim];
            }
            a.d_b1[i] = (float)sums1[OF_SLOPE * unit.width1() + i];
            if (a.d_alpha1) a.d_alpha1[i] = (float)sums1[OF_ALPHA * unit.width1() + i];
        }
        // They were summed with df/ds; e is w3 times that.
        for (int64_t i = 0; i < a.hidden2; ++i) {
            const double w = a.w3[i];
            a.d_b2[i] = (float)(sums2[OF_SLOPE * unit.width2() + i] * w);
            a.d_w3[i] = (float)sums2[OF_A * unit.width2() + i];
            if (a.d_alpha2) a.d_alpha2[i] = (float)(sums2[OF_ALPHA * unit.width2() + i] * w);
        }
        double total = 0;
        for (int64_t p = 0; p < n.positions; ++p) total += d_scores[p];
        *a.d_b3 = (float)total;
        if (added) {
            std::memset(a.d_biases, 0, a.n_biases * sizeof(float));
            for_biases([&](int64_t p, int64_t j) { a.d_biases[j] += d_scores[p]; });
        }
        look_up_gradients(targets.lookup, d_target, targets.gradients.data());
        look_up_gradients(histories.lookup, d_history, histories.gradients.data());
    }

  private:
    template <class Body>
    void with_format(const Body& body) const {
#if defined(__AVX512BF16__)
        if (a.bfloat16) return body(BFloat16());
#endif
        body(Float32());
    }
    // Positions with the number of their bias: how many of their sample are later, if there are as
    // many biases.
    template <class Body>
    void for_biases(const Body& body) const {
        int64_t later = 0;
        for (int64_t p = n.positions - 1; p >= 0; --p) {
            const bool is_latest =
                p + 1 == n.positions || n.segment_ids[p + 1] != n.segment_ids[p];
            later = is_latest ? 0 : later + 1;
            body(p, std::min(later, a.n_biases - 1));
        }
    }
};

// N: numbers of the MLP.
template <class N>
struct NetworkPass {
    const Network& n;
    std::vector<std::unique_ptr<AttentionPass>> attended;
    MLP<N> mlp;

    NetworkPass(const Network& network, const Torch& torch, Room& room)
        : n(network), mlp(torch, n.layers, n.n_hidden, n.samples, room) {
        for (int64_t g = 0; g < n.n_attentions; ++g)
            attended.push_back(std::make_unique<AttentionPass>(n, n.attentions[g], room));
    }

    bool is_inside() const {
        for (const auto& each : attended)
            if (!each->is_inside()) return false;
        for (int64_t c = 0; c < n.n_contexts; ++c) {
            const Context& context = n.contexts[c];
            if (context.numbers) continue;
            for (int64_t s = 0; s < n.samples; ++s)
                if ((uint64_t)context.feature.places[s]
                    >= (uint64_t)n.tables[context.feature.table].rows)
                    return false;
        }
        return true;
    }

    // The log-odds; and where there are labels the loss, and all gradients. 0 without labels.
    double run() {
        for (const auto& each : attended) each->forward();
        gather();
        mlp.forward(n.logits);
        if (!n.label) return 0;
        const double loss = mlp.loss(n.label, n.n_of_step, n.logits);
        mlp.backward(n.logits);
        for (int64_t t = 0; t < n.n_tables; ++t)
            std::memset(n.tables[t].gradient, 0,
                        n.tables[t].rows * n.tables[t].width * sizeof(float));
        scatter();
        for (const auto& each : attended) each->backward();
        return loss;
    }

  private:
    // The columns of the MLP, in the order of DIN.interact.
    void gather() {
        for (int64_t s = 0; s < n.samples; ++s) {
            N* to = mlp.x[0] + s * n.layers[0].inputs;
            const auto write = [&](int64_t width, const auto& value) {
                for (int64_t d = 0; d < width; ++d) narrow(value(d), to[d]);
                to += width;
            };
            for (const auto& each : attended) {
                const float* interest = each->pooled + s * each->dim;
                write(each->dim, [&](int64_t d) { return interest[d]; });
            }
            for (const auto& each : attended) {
                if (!n.with_products) break;
                const int64_t at = s * each->dim;
                const float *interest = each->pooled + at, *sum = each->sums + at;
                const float* t = each->target + at;
                write(each->dim, [&](int64_t d) { return interest[d] * t[d]; });
                write(each->dim, [&](int64_t d) { return sum[d]; });
                write(each->dim, [&](int64_t d) { return sum[d] * t[d]; });
            }
            for (const auto& each : attended) {
                const float* t = each->target + s * each->dim;
                write(each->dim, [&](int64_t d) { return t[d]; });
            }
            for (int64_t c = 0; c < n.n_contexts; ++c) {
                const Context& context = n.contexts[c];
                const float* from =
                    context.numbers
                        ? context.numbers + s * context.width
                        : n.tables[context.feature.table].weight
                              + context.feature.places[s] * context.width;
                write(context.width, [&](int64_t d) { return from[d]; });
            }
        }
    }

    // From the gradients of those columns to those of what they are made of.
    void scatter() {
        for (int64_t s = 0; s < n.samples; ++s) {
            const N* from = mlp.dx + s * n.layers[0].inputs;
            for (const auto& each : attended) {
                float* to = each->d_pooled + s * each->dim;
                for (int64_t d = 0; d < each->dim; ++d) to[d] = wide(from[d]);
                from += each->dim;
            }
            for (const auto& each : attended) {
                const int64_t dim = each->dim, at = s * dim;
                if (n.with_products) {
                    through_products(*each, at, from);
                    from += 3 * dim;
                } else {
                    std::memset(each->d_target + at, 0, dim * sizeof(float));
                }
            }
            for (const auto& each : attended) {
                float* d_t = each->d_target + s * each->dim;
                for (int64_t d = 0; d < each->dim; ++d) d_t[d] += wide(from[d]);
                from += each->dim;
            }
            for (int64_t c = 0; c < n.n_contexts; ++c) {
                const Context& context = n.contexts[c];
                if (!context.numbers) {
                    float* to = n.tables[context.feature.table].gradient
                                + context.feature.places[s] * context.width;
                    for (int64_t d = 0; d < context.width; ++d) to[d] += wide(from[d]);
                }
                from += context.width;
            }
        }
    }

    // From the gradients of interest * t, sum and sum * t of a sample to those of the three.
    static void through_products(const AttentionPass& of, int64_t at, const N* __restrict from) {
        const int64_t dim = of.dim;
        const float *__restrict interest = of.pooled + at, *__restrict sum = of.sums + at;
        const float* __restrict t = of.target + at;
        float *__restrict d_interest = of.d_pooled + at, *__restrict d_sum = of.d_sums + at;
        float* __restrict d_t = of.d_target + at;
        for (int64_t d = 0; d < dim; ++d) {
            const float first = wide(from[d]), second = wide(from[2 * dim + d]);
            d_interest[d] += first * t[d];
            d_sum[d] = wide(from[dim + d]) + second * t[d];
            d_t[d] = first * interest[d] + second * sum[d];
        }
    }
};

// Calls body with the pass that a network asks for.
template <class Body>
auto with_pass(const Network& n, const Torch& torch, void* memory, const Body& body) {
    Room room(memory);
    if (n.bfloat16) {
        NetworkPass<Half> pass(n, torch, room);
        return body(pass, room);
    }
    NetworkPass<float> pass(n, torch, room);
    return body(pass, room);
}

}  // namespace
