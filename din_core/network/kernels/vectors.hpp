// Vectors, number formats and the one matrix product that the fused kernels are made of.
//
// What belongs here: everything that depends on the instruction set. The compiler lowers the
// vector types below to AVX-512, AVX2 or SSE; intrinsics appear only where it has no word for it.
//
// A matrix product computes a tile of TILE_ROWS x (nv * LANES) numbers that stays in registers:
//     C[i, j] = init[i, j] + sum_k A[i, k] * B[k, j]
// Both operands are arrays of 32-bit *units*: one float, or a pair of bfloat16 that are neighbours
// along k (the processor's dot product takes two at a time). B lies in panels of nv * LANES
// columns, so that a panel is read front to back.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#if defined(__AVX__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
constexpr int LANES = 16, TILE_ROWS = 8;
#elif defined(__AVX__)
constexpr int LANES = 8, TILE_ROWS = 4;
#else
constexpr int LANES = 4, TILE_ROWS = 4;
#endif
constexpr int WIDTH_STEP = 16;  // widths are padded to a multiple of this

#define INLINE inline __attribute__((always_inline))

typedef float V __attribute__((vector_size(4 * LANES)));
typedef int32_t I __attribute__((vector_size(4 * LANES)));
typedef float UnalignedV __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t UnalignedI __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE V load(const float* p) { return *reinterpret_cast<const UnalignedV*>(p); }
INLINE void store(float* p, V v) { *reinterpret_cast<UnalignedV*>(p) = v; }
INLINE V all(float x) { return x - V{}; }
// a * b + c. Spelled out, because compilers tuned for some processors split chains of it.
INLINE V multiply_add(V a, V b, V c) {
#if defined(__AVX512F__)
    return (V)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
    return (V)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}
INLINE float sum(V v) {
    float part[LANES];
    store(part, v);
#pragma GCC unroll 4
    for (int n = LANES / 2; n > 0; n /= 2)
#pragma GCC unroll 8
        for (int i = 0; i < n; ++i) part[i] += part[i + n];
    return part[0];
}
INLINE float inner_product(const float* a, const float* b, int64_t n) {
    V in_lanes = all(0);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) in_lanes = multiply_add(load(a + i), load(b + i), in_lanes);
    float total = sum(in_lanes);
    for (; i < n; ++i) total += a[i] * b[i];
    return total;
}

constexpr int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// Zeroed, 64-byte aligned memory.
template <class T>
struct Buffer {
    struct Free {
        void operator()(void* p) const { std::free(p); }
    };
    std::unique_ptr<T, Free> memory;
    int64_t size;
    explicit Buffer(int64_t n) : size(n) {
        const size_t bytes = round_up((n > 0 ? n : 1) * sizeof(T), 64);
        memory.reset(static_cast<T*>(std::aligned_alloc(64, bytes)));
        std::memset(static_cast<void*>(memory.get()), 0, bytes);
    }
    T* get() const { return memory.get(); }
    T& operator[](int64_t i) const { return memory.get()[i]; }
};

// 2^y = 2^n 2^f with n the nearest integer, for y from -126 to 126. Relative error below 2e-7, or
// below 1e-4 in the short form that goes with bfloat16.
template <bool SHORT>
INLINE V power_of_two(V y) {
#if defined(__AVX512F__)
    const V n = (V)_mm512_roundscale_ps((__m512)y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
    // Adding 1.5 * 2^23 leaves n in the low bits of the mantissa.
    const V shifted = y + 12582912.f, n = shifted - 12582912.f;
#endif
    const V f = y - n;
    // 2^f on [-1/2, 1/2], minimax.
    static const float c_short[] = {0.05517166f, 0.24261112f, 0.69326099f, 0.99992807f};
    static const float c_long[] = {0.00132765f, 0.00967554f, 0.05550713f,
                                   0.24022120f, 0.69314697f, 1.00000007f};
    V e = all(SHORT ? c_short[0] : c_long[0]);
    for (int i = 1; i < (SHORT ? 4 : 6); ++i)
        e = multiply_add(e, f, all(SHORT ? c_short[i] : c_long[i]));
#if defined(__AVX512F__)
    return (V)_mm512_scalef_ps((__m512)e, (__m512)n);
#else
    return (V)((I)e + ((I)shifted << 23));
#endif
}

constexpr float LOG2_E = 1.44269504f;

// e^x for x up to 0; 0 where that is next to nothing.
INLINE V exponential(V x) {
    const V y = x * LOG2_E;
    return y < all(-126.f) ? all(0) : power_of_two<false>(y);
}

// sigmoid(x) = 1 / (1 + 2^(-x log2 e)). Absolute error below 2e-7, or 1e-4 in the short form.
template <bool SHORT>
INLINE V sigmoid(V x) {
    V y = x * -LOG2_E;
    // Beyond these, the result is 0 or 1 in float32, and 2^y would leave the exponent's range.
    if (!SHORT || LANES < 16) y = y > all(126.f) ? all(126.f) : y;
    if (LANES < 16) y = y < all(-126.f) ? all(-126.f) : y;
    const V d = 1.f + power_of_two<SHORT>(y);
#if defined(__AVX512F__)
    const V r = (V)_mm512_rcp14_ps((__m512)d);
    return SHORT ? r : r * (2.f - d * r);
#else
    return 1.f / d;
#endif
}

// The two number formats. `Two` holds LANES channels of two neighbouring positions; they are
// written as rows (the channel can be the k of a product) or as a pair (the position can).
struct Float32 {
    typedef float Unit;
    static constexpr int PER_UNIT = 1;
    static constexpr bool SHORT = false;
    struct Two {
        V v0, v1;
    };
    static INLINE V units(const Unit* p) { return load(p); }
    static INLINE V dot(V c, const Unit* a, V b) { return multiply_add(all(*a), b, c); }
    static INLINE Two round(V v0, V v1) { return {v0, v1}; }
    static INLINE V along_k(V v0, V) { return v0; }
    static INLINE void rows(Unit* p, int64_t ld, int64_t channel, Two t) {
        store(p + channel, t.v0);
        store(p + ld + channel, t.v1);
    }
    static INLINE void pair(Unit* p, int64_t ld, int64_t position, Two t) {
        store(p + position * ld, t.v0);
        store(p + (position + 1) * ld, t.v1);
    }
    static INLINE void row(Unit* p, int64_t channel, V v) { store(p + channel, v); }
    static INLINE V read(const Unit* p, int64_t channel) { return load(p + channel); }
    static Unit unit(float a, float) { return a; }
};

#if defined(__AVX512BF16__)
struct BFloat16 {
    typedef uint32_t Unit;
    static constexpr int PER_UNIT = 2;
    static constexpr bool SHORT = true;
    typedef __m512i Two;  // 16 numbers of the first position, then 16 of the second
    static INLINE V units(const Unit* p) { return (V)_mm512_loadu_si512(p); }
    static INLINE V dot(V c, const Unit* a, V b) {
        return (V)_mm512_dpbf16_ps((__m512)c, (__m512bh)b,
                                   (__m512bh)_mm512_set1_epi32((int)*a));
    }
    static INLINE Two round(V v0, V v1) {
        return (__m512i)_mm512_cvtne2ps_pbh((__m512)v1, (__m512)v0);
    }
    static INLINE void rows(Unit* p, int64_t ld, int64_t channel, Two t) {
        uint16_t* at = reinterpret_cast<uint16_t*>(p) + channel;
        _mm256_storeu_si256((__m256i*)at, _mm512_castsi512_si256(t));
        _mm256_storeu_si256((__m256i*)(at + 2 * ld), _mm512_extracti64x4_epi64(t, 1));
    }
    // Units of a product, of rows k and k + 1 of its right matrix.
    static INLINE V along_k(V v0, V v1) { return (V)interleaved(round(v0, v1)); }
    static INLINE __m512i interleaved(Two t) {
        const __m512i order = _mm512_set_epi16(
            31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
            23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
        return _mm512_permutexvar_epi16(order, t);
    }
    static INLINE void pair(Unit* p, int64_t ld, int64_t position, Two t) {
        _mm512_storeu_si512(p + position / 2 * ld, interleaved(t));
    }
    static INLINE void row(Unit* p, int64_t channel, V v) {
        _mm256_storeu_si256((__m256i*)((uint16_t*)p + channel),
                            (__m256i)_mm512_cvtneps_pbh((__m512)v));
    }
    static INLINE V read(const Unit* p, int64_t channel) {
        const __m256i half = _mm256_loadu_si256((const __m256i*)((const uint16_t*)p + channel));
        return (V)_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16);
    }
    static uint32_t rounded(float x) {
        uint32_t bits;
        std::memcpy(&bits, &x, 4);
        return (bits + 0x8000) >> 16;
    }
    static Unit unit(float a, float b) { return rounded(a) | rounded(b) << 16; }
};
#endif

// Calls body(row, vector) for a tile that stays in registers.
template <int ROWS, int NV, class Body>
INLINE void for_tile(const Body& body) {
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 2
        for (int v = 0; v < NV; ++v) body(i, v);
}

// One tile; BY_ROWS: A is [rows, k] with `ld` units from row to row, otherwise [k, rows] with `ld`
// units from k to k. `init_ld` 0 starts every row from the same numbers (a bias).
template <class F, int NV, bool BY_ROWS>
INLINE void tile(const float* init, int64_t init_ld, const typename F::Unit* a, int64_t ld,
                 const typename F::Unit* b, int64_t k_units, float* c, int64_t c_ld) {
    V acc[TILE_ROWS][NV];
#pragma GCC unroll 8
    for (int i = 0; i < TILE_ROWS; ++i)
#pragma GCC unroll 2
        for (int v = 0; v < NV; ++v) acc[i][v] = load(init + i * init_ld + v * LANES);
    for (int64_t k = 0; k < k_units; ++k) {
        V of_b[NV];
#pragma GCC unroll 2
        for (int v = 0; v < NV; ++v) {
            of_b[v] = F::units(b + (k * NV + v) * LANES);
#if !defined(__AVX512F__)
            // Keeps it in its register: tuned for some processors, GCC reads it again every row.
            asm("" : "+x"(of_b[v]));
#endif
        }
#pragma GCC unroll 8
        for (int i = 0; i < TILE_ROWS; ++i)
#pragma GCC unroll 2
            for (int v = 0; v < NV; ++v)
                acc[i][v] = F::dot(acc[i][v], BY_ROWS ? a + i * ld + k : a + k * ld + i, of_b[v]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < TILE_ROWS; ++i)
#pragma GCC unroll 2
        for (int v = 0; v < NV; ++v) store(c + i * c_ld + v * LANES, acc[i][v]);
}

INLINE int vectors_per_panel(int64_t width) { return width % (2 * LANES) ? 1 : 2; }

// A matrix [k, width] in panels.
template <class F>
struct Panels {
    int nv;
    int64_t k_units, count, columns;
    Buffer<typename F::Unit> data;

    Panels(int64_t k, int64_t width)
        : nv(vectors_per_panel(width)), k_units(round_up(k, F::PER_UNIT) / F::PER_UNIT),
          count(width / (nv * LANES)), columns(nv * LANES), data(k_units * width) {}

    // From w[k * k_stride + j * j_stride], k < k_valid, j < j_valid; zero elsewhere. The first of
    // these k becomes k `from`.
    void pack(const float* w, int64_t k_valid, int64_t k_stride, int64_t j_valid, int64_t j_stride,
              int64_t from = 0) {
        for (int64_t k = 0; k < k_valid; k += F::PER_UNIT)
            for (int64_t j = 0; j < j_valid; ++j) {
                const float* at = w + k * k_stride + j * j_stride;
                panel(j / columns)[(from + k) / F::PER_UNIT * columns + j % columns] =
                    F::unit(at[0], k + 1 < k_valid ? at[k_stride] : 0.f);
            }
    }
    typename F::Unit* panel(int64_t j) const { return data.get() + j * k_units * columns; }

    // A tile of A times panel j, over the first `used` units of k.
    template <bool BY_ROWS>
    INLINE void multiply(const float* init, int64_t init_ld, const typename F::Unit* a, int64_t ld,
                         int64_t j, int64_t used, float* c, int64_t c_ld) const {
        multiply_part<BY_ROWS>(init, init_ld, a, ld, j, 0, used, c, c_ld);
    }
    // The same over `used` units from `from` on.
    template <bool BY_ROWS>
    INLINE void multiply_part(const float* init, int64_t init_ld, const typename F::Unit* a,
                              int64_t ld, int64_t j, int64_t from, int64_t used, float* c,
                              int64_t c_ld) const {
        const typename F::Unit* b = panel(j) + from * columns;
        if (nv == 2) tile<F, 2, BY_ROWS>(init, init_ld, a, ld, b, used, c, c_ld);
        else tile<F, 1, BY_ROWS>(init, init_ld, a, ld, b, used, c, c_ld);
    }
};
