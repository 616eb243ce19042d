// y = act(x / rms(x) * scale + shift) over the channels of each row, and its gradient. act is silu, or nothing.
//
// x and y are (rows, c); scale and shift are (rows / share, c): `share` rows in turn have theirs in common. Work goes by
// blocks of such rows that the nearest cache holds, and in each by loops as long as can be.
#include <algorithm>
#include <memory>
#include <vector>

#include "vector.h"

namespace {

constexpr int64_t BLOCK = 4096;  // elements of a block, unless that is less than 16 rows

struct Rows {
    int64_t rows, c, share, threads;

    int64_t owners() const { return rows / share; }
    int64_t block() const { return std::max<int64_t>(16, BLOCK / c); }  // rows
    int64_t blocks() const { return (share + block() - 1) / block(); }  // of an owner

    // Calls f(owner, first row, last row, k) for each block k.
    template <class F>
    void each(F f) const {
#pragma omp parallel for num_threads(threads) schedule(static) if (rows * c > 4 * BLOCK)
        for (int64_t k = 0; k < owners() * blocks(); k++) {
            const int64_t m = k / blocks(), first = m * share + k % blocks() * block();
            f(m, first, std::min(first + block(), (m + 1) * share), k);
        }
    }
};

float inverse_rms(const float *x, int64_t c) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < c; j++) sum += x[j] * x[j];
    return std::sqrt(float(c)) / std::max(std::sqrt(sum), 1e-12f);
}

template <bool ACTIVATES, class T>
void forward(const T *x, const float *scale, const float *shift, T *y, const Rows &s) {
    const int64_t c = s.c;
    s.each([=](int64_t m, int64_t first, int64_t last, int64_t) {
        const float *a = scale + m * c, *b = shift + m * c;
        const int64_t n = (last - first) * c;
        const std::unique_ptr<float[]> room(new float[2 * n]);
        float *h = room.get();
        const float *in = widened(x + first * c, h + n, n);
        for (int64_t i = 0; i < last - first; i++) {
            const float *row = in + i * c, r = inverse_rms(row, c);
            float *to = h + i * c;
#pragma omp simd
            for (int64_t j = 0; j < c; j++) to[j] = row[j] * r * a[j] + b[j];
        }
        T *out = y + first * c;
        const float *from = h;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) store(out + i, ACTIVATES ? silu(from[i]) : from[i]);
    });
}

// One row, with n = x / rms(x), h = n scale + shift, g = dy act'(h) and u = g scale:
//     dscale += g n,  dshift += g,  dx = (u - n mean(u n)) / rms(x)
template <bool ACTIVATES, class T>
void backward_row(const float *dy, const float *x, const float *scale, const float *shift, T *dx, float *dscale,
                  float *dshift, float *u, int64_t c) {
    const float r = inverse_rms(x, c);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < c; j++) {
        const float n = x[j] * r;
        const float g = dy[j] * (ACTIVATES ? silu_slope(n * scale[j] + shift[j]) : 1);
        dscale[j] += g * n;
        dshift[j] += g;
        u[j] = g * scale[j];
        sum += u[j] * n;
    }
    const float mean = sum / c;
#pragma omp simd
    for (int64_t j = 0; j < c; j++) store(dx + j, (u[j] - x[j] * r * mean) * r);
}

// Sums over rows are made a block at a time, and those of the blocks added in order: so by any number of threads.
template <bool ACTIVATES, class T>
void backward(const T *dy, const T *x, const float *scale, const float *shift, T *dx, float *dscale, float *dshift,
              const Rows &s) {
    const int64_t c = s.c;
    std::vector<float> sums(s.owners() * s.blocks() * 2 * c);
    s.each([=, &sums](int64_t m, int64_t first, int64_t last, int64_t k) {
        const int64_t n = (last - first) * c;
        const std::unique_ptr<float[]> room(new float[2 * n + c]);
        float *sum = sums.data() + k * 2 * c;
        const float *in = widened(x + first * c, room.get(), n), *d = widened(dy + first * c, room.get() + n, n);
        for (int64_t i = 0; i < last - first; i++)
            backward_row<ACTIVATES>(d + i * c, in + i * c, scale + m * c, shift + m * c, dx + (first + i) * c, sum,
                                    sum + c, room.get() + 2 * n, c);
    });
    std::fill(dscale, dscale + s.owners() * c, 0);
    std::fill(dshift, dshift + s.owners() * c, 0);
    for (int64_t k = 0; k < s.owners() * s.blocks(); k++)
        for (int64_t j = 0; j < c; j++) {
            dscale[k / s.blocks() * c + j] += sums[k * 2 * c + j];
            dshift[k / s.blocks() * c + j] += sums[k * 2 * c + c + j];
        }
}

template <class T>
void rms_forward(const T *x, const float *scale, const float *shift, T *y, const Rows &s, int64_t activates) {
    (activates ? forward<true, T> : forward<false, T>)(x, scale, shift, y, s);
}

template <class T>
void rms_backward(const T *dy, const T *x, const float *scale, const float *shift, T *dx, float *dscale, float *dshift,
                  const Rows &s, int64_t activates) {
    (activates ? backward<true, T> : backward<false, T>)(dy, x, scale, shift, dx, dscale, dshift, s);
}

}  // namespace

EXPORT(rms_forward,
       (const T *x, const float *scale, const float *shift, T *y, int64_t rows, int64_t c, int64_t share,
        int64_t activates, int64_t threads),
       (x, scale, shift, y, {rows, c, share, threads}, activates))
EXPORT(rms_backward,
       (const T *dy, const T *x, const float *scale, const float *shift, T *dx, float *dscale, float *dshift,
        int64_t rows, int64_t c, int64_t share, int64_t activates, int64_t threads),
       (dy, x, scale, shift, dx, dscale, dshift, {rows, c, share, threads}, activates))
