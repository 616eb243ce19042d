// Products of large matrices of floats by panels: WIDE columns of the right matrix, which lie one row after another.
#pragma once
#include "matrix.h"

namespace {

constexpr int WIDE = 2 * LANES, TOGETHER = 12;  // of what is summed up in registers at a time: columns, rows

// to = from panel, or to + from panel, for R rows: all in registers. `depth`, a multiple of LANES, is summed over.
template <int R>
inline void panel_product(float *to, int64_t to_step, const float *from, int64_t from_step, const float *panel,
                          int64_t depth, bool adds) {
    Lanes sum[R][2] = {};
    if (adds)
        for (int r = 0; r < R; ++r)
            for (int w = 0; w < 2; ++w) sum[r][w] = get(to + r * to_step + w * LANES);
    for (int64_t c = 0; c < depth; c += LANES) {
        for (int r = 0; r < R; ++r) __builtin_prefetch(from + (r + R) * from_step + c, 0, 3);  // the next ones
        for (int64_t i = c; i < c + LANES; ++i) {
            const Lanes a = get(panel + i * WIDE), b = get(panel + i * WIDE + LANES);
            for (int r = 0; r < R; ++r) {
                sum[r][0] += from[r * from_step + i] * a;
                sum[r][1] += from[r * from_step + i] * b;
            }
        }
    }
    for (int r = 0; r < R; ++r)
        for (int w = 0; w < 2; ++w) put(to + r * to_step + w * LANES, sum[r][w]);
}

template <int R>
inline void panel_product(int64_t rows, float *to, int64_t to_step, const float *from, int64_t from_step,
                          const float *panel, int64_t depth, bool adds) {
    if constexpr (R > 0) {
        if (rows == R) return panel_product<R>(to, to_step, from, from_step, panel, depth, adds);
        panel_product<R - 1>(rows, to, to_step, from, from_step, panel, depth, adds);
    }
}

// The same for any number of rows.
inline void panel_product(int64_t rows, float *to, int64_t to_step, const float *from, int64_t from_step,
                          const float *panel, int64_t depth, bool adds = false) {
    const int64_t parts = (rows + TOGETHER - 1) / TOGETHER;
    for (int64_t i = 0; i < parts; ++i) {
        const int64_t r = rows * i / parts, count = rows * (i + 1) / parts - r;
        panel_product<TOGETHER>(count, to + r * to_step, to_step, from + r * from_step, from_step, panel, depth, adds);
    }
}

// The weights (outputs, inputs) of a linear layer, as panels.
struct Panels {
    Panels(const float *weight, int64_t outputs, int64_t inputs)
        : outputs(outputs), inputs(inputs), buffer(outputs * inputs), at(buffer.next) {
        for (int64_t k = 0; k < outputs; k += WIDE)
            for (int64_t i = 0; i < inputs; ++i)
                for (int64_t w = 0; w < WIDE; ++w) at[k * inputs + i * WIDE + w] = weight[(k + w) * inputs + i];
    }
    // to (rows, outputs) of from (rows, inputs); or of outputs from `first` on those before `last`, multiples of WIDE.
    void apply(int64_t rows, const float *from, float *to) const { apply(rows, from, to, 0, outputs); }
    void apply(int64_t rows, const float *from, float *to, int64_t first, int64_t last) const {
        for (int64_t k = first; k < last; k += WIDE)
            panel_product(rows, to + k - first, last - first, from, inputs, at + k * inputs, inputs);
    }
    int64_t outputs, inputs;
    Buffer buffer;
    float *at;
};

}  // namespace
