// The C interface of the kernels: number format and activation become types here.
//
// Built on the user's machine by build.py and called through ctypes by activation_unit.py, rows.py
// and whole_network.py, which own all memory. A result is always written completely or added to
// zeros of the caller.
#include "backward.hpp"
#include "forward.hpp"
#include "network.hpp"
#include "row_adam.hpp"
#include "rows.hpp"

namespace {

// Calls body with the types that a unit asks for.
template <class Body>
void dispatch(const Unit& u, const Body& body) {
#if defined(__AVX512BF16__)
    if (u.bfloat16) {
        if (u.dice) body(BFloat16(), std::true_type());
        else body(BFloat16(), std::false_type());
        return;
    }
#endif
    if (u.dice) body(Float32(), std::true_type());
    else body(Float32(), std::false_type());
}

template <class F>
typename F::Unit* as(void* z2, F) {
    return static_cast<typename F::Unit*>(z2);
}

}  // namespace

extern "C" {

// Bytes of one kept z2 number for a precision; 0 where this build lacks the precision.
int64_t din_number_bytes(int64_t bfloat16) {
#if defined(__AVX512BF16__)
    return bfloat16 ? 2 : 4;
#else
    return bfloat16 ? 0 : 4;
#endif
}

// Whether products in bfloat16 are faster than in float32. One of them does two multiplications; but
// where a processor has matrices of bfloat16 (AMX), which these kernels do not use, it makes one in
// the time of two of float32, and rounding comes on top.
int64_t din_bfloat16_is_faster() {
#if defined(__AVX512BF16__) && !defined(__AMX_BF16__)
    return 1;
#else
    return 0;
#endif
}

void din_moments(const Unit* u, double* sum_x, double* sum_xx) {
    moments(*u, sum_x, sum_xx);
}

void din_hidden(const Unit* u, float* centre, int64_t find_centre, void* z2, double* sums2) {
    dispatch(*u, [&](auto format, auto dice) {
        hidden<decltype(format), dice.value>(*u, centre, find_centre, as(z2, format), sums2);
    });
}

void din_pool(const Unit* u, void* z2, float* scores, float* pooled, float* sums) {
    dispatch(*u, [&](auto format, auto dice) {
        pool<decltype(format), dice.value>(*u, as(z2, format), scores, pooled, sums);
    });
}

void din_output_gradients(const Unit* u, void* z2, const float* d_pooled, float* d_scores,
                          double* sums2) {
    dispatch(*u, [&](auto format, auto dice) {
        output_gradients<decltype(format), dice.value>(*u, as(z2, format), d_pooled, d_scores,
                                                       sums2);
    });
}

void din_hidden_gradients(const Unit* u, void* z2, const Gradients* out) {
    dispatch(*u, [&](auto format, auto dice) {
        hidden_gradients<decltype(format), dice.value>(*u, as(z2, format), *out);
    });
}

void din_statistics_gradients(const Unit* u, const float* matrix, const float* constant,
                              float* d_target, float* d_history) {
    statistics_gradients(*u, matrix, constant, d_target, d_history);
}

// Whether it was done: not where a place is outside its table.
int64_t din_look_up(const LookUp* l, const float* const* rows, float* out) {
    if (!l->is_inside()) return 0;
    look_up(*l, rows, out);
    return 1;
}

void din_look_up_gradients(const LookUp* l, const float* d_out, float* const* d_rows) {
    look_up_gradients(*l, d_out, d_rows);
}

// Bytes that a pass through a network needs beside its results.
int64_t din_network_bytes(const Network* n, const Torch* torch) {
    return with_pass(*n, *torch, nullptr, [](auto&, Room& room) { return room.used; });
}

// A pass: 1 where it was done, 0 where a place is outside its table, -1 where torch has refused a
// product.
int64_t din_network(const Network* n, const Torch* torch, void* memory, double* loss) {
    try {
        return with_pass(*n, *torch, memory, [&](auto& pass, Room&) -> int64_t {
            if (!pass.is_inside()) return 0;
            *loss = pass.run();
            return 1;
        });
    } catch (const TorchFailed&) {
        return -1;
    }
}

int64_t din_distinct(int64_t n, const int64_t* ids, int64_t n_marks, int32_t* marks, int64_t* rows,
                     int64_t* places) {
    return distinct(n, ids, n_marks, marks, rows, places);
}

void din_advance(const AdamRows* rows, const int32_t* last_step) { advance(*rows, last_step); }

void din_update(const AdamRows* rows, const float* const* parts, int64_t n_parts, float* table,
                float* table_moments, int32_t* last_step) {
    update(*rows, parts, n_parts, table, table_moments, last_step);
}

void din_catch_up(int64_t rows, int64_t width, const int64_t* index, const float* weight,
                  float* average, double* log, double log_product) {
    catch_up(rows, width, index, weight, average, log, log_product);
}

}  // extern "C"
