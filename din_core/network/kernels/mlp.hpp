// The final MLP with the log loss, forward and backward, for the samples of one call.
//
// Products of matrices are torch's: it has programs for every processor, packed operands and tiles
// of bfloat16 (AMX). They are called through the C interface that torch has for compiled models
// (torch/csrc/inductor/aoti_torch/c/shim.h), so that no header of torch is needed and a build takes
// seconds. Numbers of a layer are float or bfloat16, what is added up is float or double.
#pragma once

#include <cmath>
#include <type_traits>
#include <vector>

#include "vectors.hpp"

namespace {

typedef void* TensorHandle;

// What is called of torch. Each function returns 0 where it has worked.
struct Torch {
    int32_t (*from_blob)(void*, int64_t, const int64_t*, const int64_t*, int64_t, int32_t, int32_t,
                         int32_t, TensorHandle*);
    int32_t (*release)(TensorHandle);
    int32_t (*mm_out)(TensorHandle, TensorHandle, TensorHandle);
    int32_t (*addmm_out)(TensorHandle, TensorHandle, TensorHandle, TensorHandle, float, float);
    int64_t float32, bfloat16, cpu;  // torch's numbers for the types and the device
};

struct TorchFailed {};

void require(int32_t error) {
    if (error != 0) throw TorchFailed();
}

// bfloat16 is the upper half of a float.
struct Half {
    uint16_t bits;
};
INLINE float wide(float x) { return x; }
INLINE float wide(Half x) {
    const uint32_t bits = (uint32_t)x.bits << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
INLINE void narrow(float value, float& to) { to = value; }
INLINE void narrow(float value, Half& to) {  // to the nearest, ties to even
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    to.bits = (uint16_t)(value == value ? rounded : 0x7fc0);
}

// Memory of the caller, handed out piece by piece. Without a beginning it only counts.
struct Room {
    uintptr_t begin;
    int64_t used = 0;
    explicit Room(void* memory) : begin(reinterpret_cast<uintptr_t>(memory)) {}
    template <class T>
    T* take(int64_t n) {
        T* piece = reinterpret_cast<T*>(begin + used);
        used += round_up(n * (int64_t)sizeof(T), 64);
        return piece;
    }
};

// A tensor of torch in memory of ours: [rows, columns], or a vector of `columns` where rows is 0.
struct View {
    const Torch& torch;
    TensorHandle handle = nullptr;
    template <class N>
    View(const Torch& t, const N* data, int64_t rows, int64_t columns, bool transposed = false)
        : torch(t) {
        const int64_t type = std::is_same<N, float>::value ? t.float32 : t.bfloat16;
        const int64_t sizes[] = {transposed ? columns : rows, transposed ? rows : columns};
        const int64_t strides[] = {transposed ? 1 : columns, transposed ? columns : 1};
        const int64_t skipped = rows ? 0 : 1;
        require(t.from_blob(const_cast<N*>(data), 2 - skipped, sizes + skipped, strides + skipped,
                            0, (int32_t)type, (int32_t)t.cpu, 0, &handle));
    }
    ~View() { torch.release(handle); }
    View(const View&) = delete;
    View& operator=(const View&) = delete;
};

// A linear layer and what follows it: PReLU with a slope per channel, or ReLU where there are none.
struct DenseLayer {
    int64_t inputs, outputs;
    const float *weight, *bias, *slopes;
    float *d_weight, *d_bias, *d_slopes;
};

// Hidden layers and the output, [1, inputs]. N is the type of numbers that are multiplied. Log-odds
// and their gradients are rounded to it as well, as by torch's autocast.
template <class N>
struct MLP {
    static constexpr bool ROUNDS = !std::is_same<N, float>::value;
    const Torch& torch;
    const DenseLayer* layers;
    int64_t hidden, samples;
    std::vector<N*> x, z;  // inputs of each layer and of the output; z is x where ReLU has been
    std::vector<const N*> weight, bias;
    float* of_output;       // weights of the output, and its bias behind them
    N *dz, *dx, *d_weight;  // dx at last: of the first input

    MLP(const Torch& t, const DenseLayer* all_layers, int64_t n_hidden, int64_t n_samples,
        Room& room)
        : torch(t), layers(all_layers), hidden(n_hidden), samples(n_samples) {
        int64_t widest = layers[0].inputs, largest = 0;
        x.push_back(room.take<N>(samples * widest));
        for (int64_t l = 0; l < hidden; ++l) {
            const DenseLayer& layer = layers[l];
            widest = std::max(widest, layer.outputs);
            largest = std::max(largest, layer.inputs * layer.outputs);
            x.push_back(room.take<N>(samples * layer.outputs));
            z.push_back(layer.slopes ? room.take<N>(samples * layer.outputs) : x.back());
            if constexpr (ROUNDS) {
                weight.push_back(room.take<N>(layer.inputs * layer.outputs));
                bias.push_back(room.take<N>(layer.outputs));
            } else {
                weight.push_back(layer.weight);
                bias.push_back(layer.bias);
            }
        }
        of_output = room.take<float>(layers[hidden].inputs + 1);
        dz = room.take<N>(samples * widest);
        dx = room.take<N>(samples * widest);
        d_weight = ROUNDS ? room.take<N>(largest) : nullptr;
    }

    // From x[0] to the log-odds.
    void forward(float* logits) {
        for (int64_t l = 0; l < hidden; ++l) {
            const DenseLayer& layer = layers[l];
            if constexpr (ROUNDS) {
                round(layer.weight, const_cast<N*>(weight[l]), layer.inputs * layer.outputs);
                round(layer.bias, const_cast<N*>(bias[l]), layer.outputs);
            }
            const View to(torch, z[l], samples, layer.outputs);
            const View from(torch, x[l], samples, layer.inputs);
            const View w(torch, weight[l], layer.outputs, layer.inputs, true);
            const View b(torch, bias[l], 0, layer.outputs);
            require(torch.addmm_out(to.handle, b.handle, from.handle, w.handle, 1, 1));
            activate(l);
        }
        const int64_t width = layers[hidden].inputs;
        for (int64_t c = 0; c < width; ++c) of_output[c] = rounded(layers[hidden].weight[c]);
        of_output[width] = rounded(*layers[hidden].bias);
        for (int64_t s = 0; s < samples; ++s) {
            const N* a = x[hidden] + s * width;
            float rest = 0;
            V in_lanes = all(0);
            int64_t c = 0;
            for (; c + LANES <= width; c += LANES)
                in_lanes = multiply_add(several(a + c), load(of_output + c), in_lanes);
            for (; c < width; ++c) rest += wide(a[c]) * of_output[c];
            logits[s] = rounded(rest + sum(in_lanes) + of_output[width]);
        }
    }

    // The log loss, summed over samples and divided by `n_of_step`; the gradient takes the place of
    // the log-odds.
    double loss(const float* label, double n_of_step, float* logits) {
        double total = 0;
        for (int64_t s = 0; s < samples; ++s) {
            const float logit = logits[s], below = std::exp(-std::fabs(logit));
            total += (1 - label[s]) * logit + std::log1p(below) + std::max(-logit, 0.f);
            const float probability = (logit >= 0 ? 1 : below) / (1 + below);
            logits[s] = rounded((float)((probability - label[s]) / n_of_step));
        }
        return total / n_of_step;
    }

    // Gradients of all layers, given that of the log-odds; that of x[0] is then in dx.
    void backward(const float* d_logit) {
        const DenseLayer& output = layers[hidden];
        std::memset(output.d_weight, 0, output.inputs * sizeof(float));
        *output.d_bias = 0;
        for (int64_t s = 0; s < samples; ++s) {
            const N* __restrict a = x[hidden] + s * output.inputs;
            float* __restrict d_weight = output.d_weight;
            const float d = d_logit[s];
            *output.d_bias += d;
            for (int64_t c = 0; c < output.inputs; ++c) d_weight[c] += d * wide(a[c]);
        }
        for (int64_t l = hidden - 1; l >= 0; --l) {
            const DenseLayer& layer = layers[l];
            through_activation(l, d_logit);
            const View d(torch, dz, samples, layer.outputs);
            const View d_transposed(torch, dz, samples, layer.outputs, true);
            const View from(torch, x[l], samples, layer.inputs);
            const View w(torch, weight[l], layer.outputs, layer.inputs);
            const View to(torch, dx, samples, layer.inputs);
            if constexpr (ROUNDS) {
                const int64_t n = layer.inputs * layer.outputs;
                const View to_weight(torch, d_weight, layer.outputs, layer.inputs);
                require(torch.mm_out(to_weight.handle, d_transposed.handle, from.handle));
                for (int64_t i = 0; i < n; ++i) layer.d_weight[i] = wide(d_weight[i]);
            } else {
                const View to_weight(torch, layer.d_weight, layer.outputs, layer.inputs);
                require(torch.mm_out(to_weight.handle, d_transposed.handle, from.handle));
            }
            require(torch.mm_out(to.handle, d.handle, w.handle));
        }
    }

  private:
    // x of the layer that follows, from z, which is the same memory for ReLU.
    void activate(int64_t l) {
        const float* slopes = layers[l].slopes;
        const int64_t width = layers[l].outputs;
        for (int64_t s = 0; s < samples; ++s) {
            const N* from = z[l] + s * width;
            N* to = x[l + 1] + s * width;
            if (slopes)
                for (int64_t c = 0; c < width; ++c) {
                    const float value = wide(from[c]), below = slopes[c] * value;
                    narrow(value > 0 ? value : below, to[c]);
                }
            else
                for (int64_t c = 0; c < width; ++c) {
                    const float value = wide(from[c]);
                    narrow(value < 0 ? 0 : value, to[c]);  // NaN stays NaN
                }
        }
    }

    // dz of a layer, from dx of the following one or from that of the log-odds.
    void through_activation(int64_t l, const float* d_logit) {
        const DenseLayer& layer = layers[l];
        const int64_t width = layer.outputs;
        std::memset(layer.d_bias, 0, width * sizeof(float));
        if (layer.slopes) std::memset(layer.d_slopes, 0, width * sizeof(float));
        for (int64_t s = 0; s < samples; ++s) {
            const float d = d_logit[s];
            const float* w = of_output;
            const N* da = dx + s * width;
            if (l + 1 == hidden)
                through_activation(layer, s, z[l], [=](int64_t c) { return d * w[c]; });
            else
                through_activation(layer, s, z[l], [=](int64_t c) { return wide(da[c]); });
        }
    }

    // The same for a sample, given the gradient of what the layer hands on.
    template <class D>
    INLINE void through_activation(const DenseLayer& layer, int64_t s, const N* z_of_all,
                                   const D& d_a) {
        const int64_t width = layer.outputs;
        const N* __restrict from = z_of_all + s * width;
        const float* __restrict slopes = layer.slopes;
        N* __restrict to = dz + s * width;
        float *__restrict d_bias = layer.d_bias, *__restrict d_slopes = layer.d_slopes;
        if (slopes)
            for (int64_t c = 0; c < width; ++c) {
                const float value = wide(from[c]), g = d_a(c), below = slopes[c] * g;
                const float through = value > 0 ? g : below, of_slope = g * value;
                d_bias[c] += through;
                d_slopes[c] += value > 0 ? 0 : of_slope;
                narrow(through, to[c]);
            }
        else
            for (int64_t c = 0; c < width; ++c) {
                const float g = d_a(c), through = wide(from[c]) > 0 ? g : 0;
                d_bias[c] += through;
                narrow(through, to[c]);
            }
    }

    static INLINE float rounded(float value) {
        N number;
        narrow(value, number);
        return wide(number);
    }
    static void round(const float* from, N* to, int64_t n) {
        for (int64_t i = 0; i < n; ++i) narrow(from[i], to[i]);
    }
    static INLINE V several(const float* from) { return load(from); }
    static INLINE V several(const Half* from) {
        float part[LANES];
        for (int i = 0; i < LANES; ++i) part[i] = wide(from[i]);
        return load(part);
    }
};

}  // namespace
