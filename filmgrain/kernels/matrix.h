// Small matrices of floats whose rows are whole vectors of lanes, for kernels that fit in the processor's first cache.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "vector.h"

namespace {

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif
typedef float Lanes __attribute__((vector_size(4 * LANES), may_alias));
typedef uint64_t Pairs __attribute__((vector_size(4 * LANES), may_alias));
typedef int32_t Places __attribute__((vector_size(4 * LANES)));

template <typename T>
inline Lanes get_all(const T *from) { return *reinterpret_cast<const Lanes *>(from); }  // that fill a vector
inline Lanes get(const float *from) { return get_all(from); }
inline void put(float *to, Lanes x) { *reinterpret_cast<Lanes *>(to) = x; }
inline int padded(int n) { return (n + LANES - 1) / LANES * LANES; }

// Memory that begins at a whole vector; what is never written stays zero.
struct Buffer {
    explicit Buffer(size_t n) : memory(n + LANES), next(memory.data()) {
        next += (-reinterpret_cast<uintptr_t>(next) % (4 * LANES)) / 4;
    }
    template <typename T = float>
    T *take(size_t n) { return reinterpret_cast<T *>(std::exchange(next, next + n)); }  // a bfloat16 has a float's place

    std::vector<float> memory;
    float *next;
};

// out[r, :] = sum over m of weight[r, m] row[m, :], for a few r and one or two vectors: all in registers.
// ACROSS: weight is stored as [m, r].
template <bool ACROSS, int ROWS, int WIDE>
inline void block(float *out, const float *weight, int stride, const float *row, int inner, int columns) {
    Lanes sum[ROWS][WIDE] = {};
    for (int m = 0; m < inner; ++m) {
        Lanes x[WIDE];
        for (int w = 0; w < WIDE; ++w) x[w] = get(row + m * columns + w * LANES);
        for (int r = 0; r < ROWS; ++r)
            for (int w = 0; w < WIDE; ++w) sum[r][w] += weight[ACROSS ? m * stride + r : r * stride + m] * x[w];
    }
    for (int r = 0; r < ROWS; ++r)
        for (int w = 0; w < WIDE; ++w) put(out + r * columns + w * LANES, sum[r][w]);
}

// The same for all r < rows, rounded up to fours (buffers have room for them), and for whole rows of `columns`.
template <bool ACROSS>
void product(float *out, const float *weight, int stride, const float *row, int rows, int inner, int columns) {
    const int step = ACROSS ? 1 : stride;
    int c = 0;
    for (; c + 2 * LANES <= columns; c += 2 * LANES)
        for (int r = 0; r < rows; r += 4)
            block<ACROSS, 4, 2>(out + r * columns + c, weight + r * step, stride, row + c, inner, columns);
    for (int r = 0; c < columns && r < rows;) {
        float *to = out + r * columns + c;
        if (rows - r > 4) {
            block<ACROSS, 8, 1>(to, weight + r * step, stride, row + c, inner, columns);
            r += 8;
        } else {
            block<ACROSS, 4, 1>(to, weight + r * step, stride, row + c, inner, columns);
            r += 4;
        }
    }
}

// Of each square of 2 HALF by 2 HALF, the upper right and the lower left quarter change places.
template <int HALF, int... I>
inline void swap_quarters(Lanes &above, Lanes &below, std::integer_sequence<int, I...>) {
    const Lanes x = above, y = below;
#ifdef __clang__
    above = __builtin_shufflevector(x, y, (I & HALF ? LANES + I - HALF : I)...);
    below = __builtin_shufflevector(x, y, (I & HALF ? LANES + I : I + HALF)...);
#else
    above = __builtin_shuffle(x, y, Places{(I & HALF ? LANES + I - HALF : I)...});
    below = __builtin_shuffle(x, y, Places{(I & HALF ? LANES + I : I + HALF)...});
#endif
}

template <int HALF>
inline void transpose_square(Lanes *x) {
    for (int i = 0; i < LANES; ++i)
        if (!(i & HALF)) swap_quarters<HALF>(x[i], x[i + HALF], std::make_integer_sequence<int, LANES>());
    if constexpr (HALF > 1) transpose_square<HALF / 2>(x);
}

// to[c, r] = from[r, c]; rows and columns are multiples of LANES.
void transpose(const float *from, int rows, int columns, float *to) {
    for (int r = 0; r < rows; r += LANES)
        for (int c = 0; c < columns; c += LANES) {
            Lanes x[LANES];
            for (int i = 0; i < LANES; ++i) x[i] = get(from + (r + i) * columns + c);
            transpose_square<LANES / 2>(x);
            for (int i = 0; i < LANES; ++i) put(to + (c + i) * rows + r, x[i]);
        }
}

template <typename From, typename To>
inline void convert(const From *__restrict from, To *__restrict to, int n) {
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int lane = 0; lane < LANES; ++lane) store(to + i + lane, load(from[i + lane]));
    for (; i < n; ++i) store(to + i, load(from[i]));
}

}  // namespace
