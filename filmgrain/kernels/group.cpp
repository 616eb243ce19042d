// y = act((x - mean) / std * scale + shift), with the mean and std of a group of channels over all rows of a sample,
// and its gradient. act is silu, or nothing.
//
// x and y are (samples, rows, c); mean and inverse = 1 / std are (samples, groups); scale and shift are (owners, c):
// samples / owners in turn have theirs in common.
#include <algorithm>
#include <vector>

#include "vector.h"

namespace {

constexpr int64_t BLOCK = 16384;  // elements of x that are added up at a time

struct Shape {
    int64_t samples, rows, c, groups, owners, threads;

    int64_t block() const { return std::max<int64_t>(1, BLOCK / c); }  // rows
    int64_t blocks() const { return (rows + block() - 1) / block(); }
    // Either samples are shared out among the threads, or the blocks of one sample after the other.
    int64_t outer() const { return samples >= std::min(threads, blocks()) ? threads : 1; }
    int64_t inner() const { return outer() > 1 ? 1 : threads; }
    int64_t owned(int64_t sample) const { return sample * owners / samples * c; }
};

// Calls f(first row, last row, k) for each block k of a sample's rows.
template <class F>
void for_blocks(const Shape &s, F f) {
#pragma omp parallel for num_threads(s.inner()) schedule(static) if (s.inner() > 1)
    for (int64_t k = 0; k < s.blocks(); k++) f(k * s.block(), std::min(s.rows, (k + 1) * s.block()), k);
}

// Two sums a channel over a sample's rows: f(row, one, two) adds its own to both. The blocks' are added in order, so
// that the number of threads does not matter.
template <class F>
std::vector<double> sums(const Shape &s, F f) {
    std::vector<float> partial(s.blocks() * 2 * s.c);
    for_blocks(s, [&](int64_t first, int64_t last, int64_t k) {
        float *one = partial.data() + k * 2 * s.c;
        for (int64_t i = first; i < last; i++) f(i, one, one + s.c);
    });
    std::vector<double> total(2 * s.c);
    for (int64_t k = 0; k < s.blocks(); k++)
        for (int64_t j = 0; j < 2 * s.c; j++) total[j] += partial[k * 2 * s.c + j];
    return total;
}

// Mean and 1 / std of each group. Sums are of x less the sample's first row, so that a large mean costs no digits.
template <class T>
void moments(const Shape &s, const T *x, double eps, float *mean, float *inverse) {
    const int64_t c = s.c, width = c / s.groups;
    const auto total = sums(s, [=](int64_t i, float *__restrict one, float *__restrict two) {
        const T *row = x + i * c;
#pragma omp simd
        for (int64_t j = 0; j < c; j++) {
            const float d = load(row[j]) - load(x[j]);
            one[j] += d;
            two[j] += d * d;
        }
    });
    for (int64_t g = 0; g < s.groups; g++) {
        double m = 0, square = 0;
        for (int64_t j = g * width; j < (g + 1) * width; j++) m += (load(x[j]) + total[j] / s.rows) / width;
        for (int64_t j = g * width; j < (g + 1) * width; j++) {
            const double d = total[j] / s.rows, off = load(x[j]) + d - m;  // of the channel's mean from the group's
            square += total[c + j] / s.rows - d * d + off * off;
        }
        mean[g] = float(m);
        inverse[g] = float(1 / std::sqrt(std::max(square / width, 0.0) + eps));
    }
}

template <bool ACTIVATES, class T>
void forward_sample(const Shape &s, const T *x, const float *scale, const float *shift, double eps, T *y, float *mean,
                    float *inverse) {
    moments(s, x, eps, mean, inverse);
    const int64_t c = s.c, width = c / s.groups;
    std::vector<float> channels(2 * c);
    float *m = channels.data(), *a = m + c;
    for (int64_t j = 0; j < c; j++) {
        m[j] = mean[j / width];
        a[j] = inverse[j / width] * scale[j];
    }
    for_blocks(s, [=](int64_t first, int64_t last, int64_t) {
        for (int64_t i = first; i < last; i++) {
#pragma omp simd
            for (int64_t j = 0; j < c; j++) {
                const float h = (load(x[i * c + j]) - m[j]) * a[j] + shift[j];
                store(y + i * c + j, ACTIVATES ? silu(h) : h);
            }
        }
    });
}

// With n = (x - mean) / std, h = n scale + shift, g = dy act'(h) and u = g scale:
//     dscale = sum g n,  dshift = sum g,  dx = (u - mean(u) - n mean(u n)) / std, the means over the group.
template <bool ACTIVATES, class T>
void backward_sample(const Shape &s, const T *dy, const T *x, const float *scale, const float *shift, const float *mean,
                     const float *inverse, T *dx, float *dscale, float *dshift) {
    const int64_t c = s.c, width = c / s.groups;
    std::vector<float> channels(4 * c);
    float *m = channels.data(), *r = m + c, *mean_u = r + c, *mean_un = mean_u + c;
    for (int64_t j = 0; j < c; j++) {
        m[j] = mean[j / width];
        r[j] = inverse[j / width];
    }
    const auto total = sums(s, [=](int64_t i, float *__restrict one, float *__restrict two) {
#pragma omp simd
        for (int64_t j = 0; j < c; j++) {
            const float n = (load(x[i * c + j]) - m[j]) * r[j];
            const float g = load(dy[i * c + j]) * (ACTIVATES ? silu_slope(n * scale[j] + shift[j]) : 1);
            one[j] += g;
            two[j] += g * n;
        }
    });
    for (int64_t g = 0; g < s.groups; g++) {
        double u = 0, un = 0;
        for (int64_t j = g * width; j < (g + 1) * width; j++) {
            u += scale[j] * total[j];
            un += scale[j] * total[c + j];
        }
        for (int64_t j = g * width; j < (g + 1) * width; j++) {
            dshift[j] += float(total[j]);
            dscale[j] += float(total[c + j]);
            mean_u[j] = float(u / (s.rows * width));
            mean_un[j] = float(un / (s.rows * width));
        }
    }
    for_blocks(s, [=](int64_t first, int64_t last, int64_t) {
        for (int64_t i = first; i < last; i++) {
#pragma omp simd
            for (int64_t j = 0; j < c; j++) {
                const float n = (load(x[i * c + j]) - m[j]) * r[j];
                const float g = load(dy[i * c + j]) * (ACTIVATES ? silu_slope(n * scale[j] + shift[j]) : 1);
                store(dx + i * c + j, (g * scale[j] - mean_u[j] - n * mean_un[j]) * r[j]);
            }
        }
    });
}

template <class T>
void group_forward(const T *x, const float *scale, const float *shift, T *y, float *mean, float *inverse, Shape s,
                   double eps, int64_t activates) {
    const auto sample = activates ? forward_sample<true, T> : forward_sample<false, T>;
    const int64_t size = s.rows * s.c;
#pragma omp parallel for num_threads(s.outer()) schedule(static) if (s.outer() > 1 && s.samples * size > BLOCK)
    for (int64_t i = 0; i < s.samples; i++)
        sample(s, x + i * size, scale + s.owned(i), shift + s.owned(i), eps, y + i * size, mean + i * s.groups,
               inverse + i * s.groups);
}

template <class T>
void group_backward(const T *dy, const T *x, const float *scale, const float *shift, const float *mean,
                    const float *inverse, T *dx, float *dscale, float *dshift, Shape s, int64_t activates) {
    const auto sample = activates ? backward_sample<true, T> : backward_sample<false, T>;
    const int64_t size = s.rows * s.c;
    std::vector<float> each(2 * s.samples * s.c);  // gradients of every sample's scale, then of its shift
    float *of_scale = each.data(), *of_shift = of_scale + s.samples * s.c;
#pragma omp parallel for num_threads(s.outer()) schedule(static) if (s.outer() > 1 && s.samples * size > BLOCK)
    for (int64_t i = 0; i < s.samples; i++)
        sample(s, dy + i * size, x + i * size, scale + s.owned(i), shift + s.owned(i), mean + i * s.groups,
               inverse + i * s.groups, dx + i * size, of_scale + i * s.c, of_shift + i * s.c);
    std::fill(dscale, dscale + s.owners * s.c, 0);
    std::fill(dshift, dshift + s.owners * s.c, 0);
    for (int64_t i = 0; i < s.samples; i++)
        for (int64_t j = 0; j < s.c; j++) {
            dscale[s.owned(i) + j] += of_scale[i * s.c + j];
            dshift[s.owned(i) + j] += of_shift[i * s.c + j];
        }
}

}  // namespace

EXPORT(group_forward,
       (const T *x, const float *scale, const float *shift, T *y, float *mean, float *inverse, int64_t samples,
        int64_t rows, int64_t c, int64_t groups, int64_t owners, double eps, int64_t activates, int64_t threads),
       (x, scale, shift, y, mean, inverse, {samples, rows, c, groups, owners, threads}, eps, activates))
EXPORT(group_backward,
       (const T *dy, const T *x, const float *scale, const float *shift, const float *mean, const float *inverse, T *dx,
        float *dscale, float *dshift, int64_t samples, int64_t rows, int64_t c, int64_t groups, int64_t owners,
        int64_t activates, int64_t threads),
       (dy, x, scale, shift, mean, inverse, dx, dscale, dshift, {samples, rows, c, groups, owners, threads}, activates))
