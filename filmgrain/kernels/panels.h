// Products of large matrices by panels: WIDE columns of the right matrix, which lie one row after another.
//
// Of bfloat16 two rows lie together, number by number, as processors multiply them: both products are added to a float.
#pragma once
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include "matrix.h"

namespace {

constexpr int WIDE = 2 * LANES, TOGETHER = 12;  // of what is summed up in registers at a time: columns, rows

// sum + x y, of floats; and of pairs of bfloat16, with x a pair for all lanes.
inline Lanes multiplied(Lanes sum, const float *x, Lanes y) { return sum + *x * y; }
inline Lanes multiplied(Lanes sum, const bfloat16 *x, Lanes y) {
    int32_t pair;
    std::memcpy(&pair, x, sizeof pair);
    const Places both = Places{} + pair;
#if defined(__AVX512BF16__)
    return (Lanes)_mm512_dpbf16_ps((__m512)sum, (__m512bh)both, (__m512bh)y);
#else
    const Places upper = Places{} - 65536, other = (Places)y;
    return sum + (Lanes)(both << 16) * (Lanes)(other << 16) + (Lanes)(both & upper) * (Lanes)(other & upper);
#endif
}

template <typename T>
constexpr int PAIR = sizeof(float) / sizeof(T);  // numbers that are multiplied together

// to = from panel, or to + from panel, for R rows: all in registers. `depth`, a multiple of LANES, is summed over.
template <int R, typename T>
inline void panel_product(float *to, int64_t to_step, const T *from, int64_t from_step, const T *panel, int64_t depth,
                          bool adds) {
    Lanes sum[R][2] = {};
    if (adds)
        for (int r = 0; r < R; ++r)
            for (int w = 0; w < 2; ++w) sum[r][w] = get(to + r * to_step + w * LANES);
    for (int64_t c = 0; c < depth; c += LANES) {
        for (int r = 0; r < R; ++r) __builtin_prefetch(from + (r + R) * from_step + c, 0, 3);  // the next ones
        for (int64_t i = c; i < c + LANES; i += PAIR<T>) {
            const Lanes a = get_all(panel + i * WIDE), b = get_all(panel + i * WIDE + PAIR<T> * LANES);
            for (int r = 0; r < R; ++r) {
                sum[r][0] = multiplied(sum[r][0], from + r * from_step + i, a);
                sum[r][1] = multiplied(sum[r][1], from + r * from_step + i, b);
            }
        }
    }
    for (int r = 0; r < R; ++r)
        for (int w = 0; w < 2; ++w) put(to + r * to_step + w * LANES, sum[r][w]);
}

template <int R, typename T>
inline void panel_product(int64_t rows, float *to, int64_t to_step, const T *from, int64_t from_step, const T *panel,
                          int64_t depth, bool adds) {
    if constexpr (R > 0) {
        if (rows == R) return panel_product<R>(to, to_step, from, from_step, panel, depth, adds);
        panel_product<R - 1>(rows, to, to_step, from, from_step, panel, depth, adds);
    }
}

// The same for any number of rows.
template <typename T>
inline void panel_product(int64_t rows, float *to, int64_t to_step, const T *from, int64_t from_step, const T *panel,
                          int64_t depth, bool adds = false) {
    const int64_t parts = (rows + TOGETHER - 1) / TOGETHER;
    for (int64_t i = 0; i < parts; ++i) {
        const int64_t r = rows * i / parts, count = rows * (i + 1) / parts - r;
        panel_product<TOGETHER>(count, to + r * to_step, to_step, from + r * from_step, from_step, panel, depth, adds);
    }
}

// The weights (outputs, inputs) of a linear layer, as panels.
template <typename T>
struct Panels {
    Panels(const T *weight, int64_t outputs, int64_t inputs)
        : outputs(outputs), inputs(inputs), buffer(outputs * inputs), at(buffer.template take<T>(outputs * inputs)) {
        T *to = at;
        for (int64_t k = 0; k < outputs; k += WIDE)
            for (int64_t i = 0; i < inputs; i += PAIR<T>)
                for (int64_t w = 0; w < WIDE; ++w)
                    for (int64_t n = 0; n < PAIR<T>; ++n) *to++ = weight[(k + w) * inputs + i + n];
    }
    // to (rows, outputs) of from (rows, inputs); or of outputs from `first` on those before `last`, multiples of WIDE.
    void apply(int64_t rows, const T *from, float *to) const { apply(rows, from, to, 0, outputs); }
    void apply(int64_t rows, const T *from, float *to, int64_t first, int64_t last) const {
        for (int64_t k = first; k < last; k += WIDE)
            panel_product(rows, to + k - first, last - first, from, inputs, at + k * inputs, inputs);
    }
    int64_t outputs, inputs;
    Buffer buffer;
    T *at;
};

}  // namespace
