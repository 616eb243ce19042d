// Linear attention among the pixels of a frame (Shen et al. 2018), read from the rows that one linear layer makes of
// all heads and written as the rows that the next one takes. Of each frame and head, with d features,
//
//     p = softmax over features of q,   s = softmax over pixels of k,   C = s^T v,   out = p C / sqrt(d)
//
// and backward, of the gradient g of out, with D = p^T g / sqrt(d), the gradient of C,
//
//     dq = p (dp - sum over features of p dp),   dp = g C^T / sqrt(d)
//     dk = s (ds - sum over features of C D),    ds = v D^T,             dv = s D
//
// (the sum over pixels of s ds is the sum over features of C D); out is made again there, for who has not kept it. So two
// small matrices and two numbers a feature are all that pixels share, and all else is made of a tile of pixels while it
// is in the first cache.
//
// Memory: qkv (frames, pixels, 3, heads, d), out (frames, pixels, heads, d), both as they are stored; contexts C
// (frames, heads, d, d) and logsums, log of the sum over pixels of exp(k) (frames, heads, d), in float32.

#include <algorithm>
#include <cmath>

#include "panels.h"

namespace {

#if defined(__AVX__) && !defined(__AVX512F__)
constexpr int ROWS = 4;  // sixteen registers
#else
constexpr int ROWS = 8;
#endif
constexpr int STEP = 2 * LANES;                     // features are padded to a multiple of it
constexpr int GROUP = LANES > ROWS ? LANES : ROWS;  // and pixels to a multiple of it
constexpr int TILE = 64;                            // pixels; a multiple of GROUP

#define INLINE inline __attribute__((always_inline))

INLINE int up_to(int multiple, int n) { return (n + multiple - 1) / multiple * multiple; }
INLINE Lanes larger(Lanes a, Lanes b) { return a > b ? a : b; }

struct Sizes {
    int64_t frames, pixels, heads;
    int d, threads;
};

// Pixels that lie `stride` apart, to rows of `width` floats: `pad` from d on; zeros below up to a multiple of GROUP.
template <typename T>
INLINE void read(const T *from, int64_t stride, int pixels, int d, int width, float *__restrict to, float pad = 0) {
    for (int i = 0; i < pixels; ++i, to += width) {
        for (int j = 0; j < d; ++j) to[j] = load(from[i * stride + j]);
        for (int j = d; j < width; ++j) to[j] = pad;
    }
    std::fill(to, to + (up_to(GROUP, pixels) - pixels) * width, 0.0f);
}

template <typename T>
INLINE void write(const float *__restrict from, int pixels, int d, int width, T *__restrict to, int64_t stride) {
    for (int i = 0; i < pixels; ++i)
        for (int j = 0; j < d; ++j) store(to + i * stride + j, from[i * width + j]);
}

// out (rows, width) = a b, with a (rows, inner) and b (inner, width). ACROSS: out += a^T b, with a (inner, rows).
template <bool ACROSS>
INLINE void multiply(const float *a, const float *b, float *out, int rows, int inner, int width) {
    for (int i = 0; i < rows; i += ROWS)
        for (int j = 0; j < width; j += STEP) {
            Lanes sum[ROWS][2] = {};
            for (int t = 0; t < inner; ++t)
                for (int r = 0; r < ROWS; ++r)
                    for (int c = 0; c < 2; ++c)
                        sum[r][c] += (ACROSS ? a[t * rows + i + r] : a[(i + r) * inner + t]) *
                                     get(b + t * width + j + c * LANES);
            for (int r = 0; r < ROWS; ++r)
                for (int c = 0; c < 2; ++c) {
                    float *to = out + (i + r) * width + j + c * LANES;
                    put(to, ACROSS ? get(to) + sum[r][c] : sum[r][c]);
                }
        }
}

// Lane i of the result is made of all lanes of x[i].
INLINE Lanes totals(Lanes *x) {
    transpose_square<LANES / 2>(x);
    for (int i = 1; i < LANES; ++i) x[0] += x[i];
    return x[0];
}
INLINE Lanes largest(Lanes *x) {
    transpose_square<LANES / 2>(x);
    for (int i = 1; i < LANES; ++i) x[0] = larger(x[i], x[0]);
    return x[0];
}

// exp(rows - shift), where each feature has its shift. Of both in one loop gcc makes no vectors.
INLINE void weigh(float *rows, const float *shift, int pixels, int width) {
    for (int i = 0; i < pixels * width; i += width)
        for (int j = 0; j < width; j += LANES) put(rows + i + j, get(rows + i + j) - get(shift + j));
    for (int i = 0; i < pixels * width; i += LANES)
        for (int lane = 0; lane < LANES; ++lane) rows[i + lane] = exponential(rows[i + lane]);
}

constexpr float NOTHING = -1e30f;  // of which a softmax makes zero

// The softmax of each row, times `scale`.
INLINE void softmax(float *rows, int pixels, int width, float scale) {
    for (int i = 0; i < pixels; i += LANES, rows += LANES * width) {
        Lanes x[LANES];
        for (int r = 0; r < LANES; ++r) {
            x[r] = get(rows + r * width);
            for (int j = LANES; j < width; j += LANES) x[r] = larger(get(rows + r * width + j), x[r]);
        }
        const Lanes shift = largest(x);
        for (int r = 0; r < LANES; ++r)
            for (int j = 0; j < width; ++j) rows[r * width + j] = exponential(rows[r * width + j] - shift[r]);
        for (int r = 0; r < LANES; ++r) {
            x[r] = get(rows + r * width);
            for (int j = LANES; j < width; j += LANES) x[r] += get(rows + r * width + j);
        }
        const Lanes factor = scale / totals(x);
        for (int r = 0; r < LANES; ++r)
            for (int j = r * width; j < (r + 1) * width; j += LANES) put(rows + j, get(rows + j) * factor[r]);
    }
}

// What a head keeps while the pixels of its frame go by: the largest k so far, the sum of exp(k - largest), and C.
struct Kept {
    float *most, *sum, *context;
};

// A tile of pixels joins what is kept, which shrinks where the largest k has grown. Of k its weights are left.
INLINE void join(float *k, const float *v, int pixels, int width, bool first, const Kept &kept) {
    for (int j = 0; j < width; j += LANES) {
        Lanes most = first ? get(k + j) : get(kept.most + j);
        for (int i = 0; i < pixels; ++i) most = larger(get(k + i * width + j), most);
        for (int lane = 0; lane < LANES && !first; ++lane) {
            const float before = kept.most[j + lane];
            if (most[lane] == before) continue;
            const float shrunk = exponential(before - most[lane]);
            kept.sum[j + lane] *= shrunk;
            for (int c = 0; c < width; ++c) kept.context[(j + lane) * width + c] *= shrunk;
        }
        put(kept.most + j, most);
    }
    weigh(k, kept.most, pixels, width);
    for (int j = 0; j < width; j += LANES) {
        Lanes sum = get(kept.sum + j);
        for (int i = 0; i < pixels; ++i) sum += get(k + i * width + j);
        put(kept.sum + j, sum);
    }
    multiply<true>(k, v, kept.context, width, up_to(ROWS, pixels), width);
}

// FIXED: d where the compiler is to know it, else 0.
template <typename T, int FIXED>
void forward(const T *qkv, T *out, float *contexts, float *logsums, const Sizes &n) {
#pragma omp parallel num_threads(n.threads)
    {
        const int d = FIXED ? FIXED : n.d, width = up_to(STEP, d);  // here: outside, they would be variables to gcc
        const int64_t all = n.heads * d, row = 3 * all;
        Buffer buffer((3 * TILE + 2 + width) * width);
        float *a = buffer.take(TILE * width), *b = buffer.take(TILE * width), *c = buffer.take(TILE * width);
        const Kept kept = {buffer.take(width), buffer.take(width), buffer.take(width * width)};
#pragma omp for
        for (int64_t task = 0; task < n.frames * n.heads; ++task) {
            const int64_t first = task / n.heads * n.pixels, features = task % n.heads * d;
            const T *q = qkv + first * row + features;
            std::fill(kept.sum, kept.sum + width, 0.0f);
            std::fill(kept.context, kept.context + width * width, 0.0f);
            for (int64_t t = 0; t < n.pixels; t += TILE) {
                const int pixels = int(std::min<int64_t>(TILE, n.pixels - t));
                read(q + t * row + all, row, pixels, d, width, a);
                read(q + t * row + 2 * all, row, pixels, d, width, b);
                join(a, b, pixels, width, t == 0, kept);
            }
            for (int i = 0; i < d; ++i) {
                logsums[task * d + i] = kept.most[i] + std::log(kept.sum[i]);
                for (int j = 0; j < width; ++j) kept.context[i * width + j] /= kept.sum[i];
                std::copy_n(kept.context + i * width, d, contexts + (task * d + i) * d);
            }
            for (int64_t t = 0; t < n.pixels; t += TILE) {
                const int pixels = int(std::min<int64_t>(TILE, n.pixels - t));
                read(q + t * row, row, pixels, d, width, a, NOTHING);
                softmax(a, pixels, width, 1 / std::sqrt(float(d)));
                multiply<false>(a, kept.context, c, up_to(ROWS, pixels), width, width);
                write(c, pixels, d, width, out + (first + t) * all + features, all);
            }
        }
    }
}

// The whole layer, from x (frames, pixels, channels) to y of the same sizes: what q, k and v are made of is many times
// smaller than they are, so they are made of a tile of pixels at a time, and never lie in memory.
template <typename T, int FIXED>
void layer(const T *x, const Panels<T> &to_qkv, const Panels<T> &to_y, const T *bias, T *y, const Sizes &n) {
#pragma omp parallel num_threads(n.threads)
    {
        const int d = FIXED ? FIXED : n.d, width = up_to(STEP, d), heads = int(n.heads), all = heads * d;
        const int64_t channels = to_y.outputs, each = (2 + width) * width;
        Buffer buffer(3 * TILE * width + heads * each + TILE * (4 * all + channels) + channels);
        float *a = buffer.take(TILE * width), *b = buffer.take(TILE * width), *c = buffer.take(TILE * width);
        float *q = buffer.take(TILE * all), *kv = buffer.take(TILE * 2 * all), *out = buffer.take(TILE * channels);
        float *own_bias = buffer.take(channels), *kept = buffer.take(heads * each);
        T *mixed = buffer.take<T>(TILE * all);
        convert(bias, own_bias, int(channels));
        const auto kept_of = [&](int head) {
            float *at = kept + head * each;
            return Kept{at, at + width, at + 2 * width};
        };
#pragma omp for schedule(dynamic)
        for (int64_t frame = 0; frame < n.frames; ++frame) {
            const T *from = x + frame * n.pixels * channels;
            std::fill(kept, kept + heads * each, 0.0f);
            for (int64_t t = 0; t < n.pixels; t += TILE) {
                const int pixels = int(std::min<int64_t>(TILE, n.pixels - t));
                to_qkv.apply(pixels, from + t * channels, kv, all, 3 * all);
                for (int head = 0; head < heads; ++head) {
                    read(kv + head * d, 2 * all, pixels, d, width, a);
                    read(kv + all + head * d, 2 * all, pixels, d, width, b);
                    join(a, b, pixels, width, t == 0, kept_of(head));
                }
            }
            for (int head = 0; head < heads; ++head) {
                const Kept own = kept_of(head);
                for (int i = 0; i < d; ++i)
                    for (int j = 0; j < width; ++j) own.context[i * width + j] /= own.sum[i];
            }
            for (int64_t t = 0; t < n.pixels; t += TILE) {
                const int pixels = int(std::min<int64_t>(TILE, n.pixels - t));
                to_qkv.apply(pixels, from + t * channels, q, 0, all);
                for (int head = 0; head < heads; ++head) {
                    read(q + head * d, all, pixels, d, width, a, NOTHING);
                    softmax(a, pixels, width, 1 / std::sqrt(float(d)));
                    multiply<false>(a, kept_of(head).context, c, up_to(ROWS, pixels), width, width);
                    write(c, pixels, d, width, mixed + head * d, all);
                }
                to_y.apply(pixels, mixed, out);
                for (int i = 0; i < pixels; ++i)
                    for (int64_t k = 0; k < channels; ++k) out[i * channels + k] += own_bias[k];
                convert(out, y + (frame * n.pixels + t) * channels, int(pixels * channels));
            }
        }
    }
}

// dq of a tile, and the tile's part of D; of p, which is times 1 / sqrt(d), of g, and of C^T.
INLINE void query(const float *p, const float *g, const float *turned, float *dq, float *D, int pixels, int d,
                  int width) {
    multiply<true>(p, g, D, width, up_to(ROWS, pixels), width);
    multiply<false>(g, turned, dq, up_to(GROUP, pixels), width, width);
    for (int i = 0; i < pixels; i += LANES, p += LANES * width, dq += LANES * width) {
        Lanes x[LANES] = {};
        for (int r = 0; r < LANES; ++r)
            for (int j = r * width; j < (r + 1) * width; j += LANES) x[r] += get(p + j) * get(dq + j);
        const Lanes mean = totals(x) * std::sqrt(float(d));
        for (int r = 0; r < LANES; ++r)
            for (int j = r * width; j < (r + 1) * width; j += LANES) put(dq + j, get(p + j) * (get(dq + j) - mean[r]));
    }
}

// dk of a tile; of s, of v, of D^T, and of the sums over features of C D.
INLINE void key(const float *s, const float *v, const float *turned, const float *mean, float *dk, int pixels,
                int width) {
    multiply<false>(v, turned, dk, up_to(ROWS, pixels), width, width);
    for (int i = 0; i < pixels * width; i += width)
        for (int j = 0; j < width; j += LANES) put(dk + i + j, get(s + i + j) * (get(dk + i + j) - get(mean + j)));
}

template <typename T, int FIXED>
void backward(const T *qkv, const T *g, const float *contexts, const float *logsums, T *dqkv, T *out, const Sizes &n) {
#pragma omp parallel num_threads(n.threads)
    {
        const int d = FIXED ? FIXED : n.d, width = up_to(STEP, d), tile = TILE * width, square = width * width;
        const int64_t all = n.heads * d, row = 3 * all;
        Buffer buffer(3 * tile + 3 * square + 2 * width);
        float *a = buffer.take(tile), *b = buffer.take(tile), *c = buffer.take(tile);
        float *C = buffer.take(square), *D = buffer.take(square), *turned = buffer.take(square);
        float *logsum = buffer.take(width), *mean = buffer.take(width);
#pragma omp for
        for (int64_t task = 0; task < n.frames * n.heads; ++task) {
            const int64_t first = task / n.heads * n.pixels, features = task % n.heads * d;
            const T *q = qkv + first * row + features;
            T *dq = dqkv + first * row + features;
            for (int i = 0; i < d; ++i) std::copy_n(contexts + (task * d + i) * d, d, C + i * width);
            std::copy_n(logsums + task * d, d, logsum);
            std::fill(D, D + square, 0.0f);
            transpose(C, width, width, turned);
            for (int64_t t = 0; t < n.pixels; t += TILE) {
                const int pixels = int(std::min<int64_t>(TILE, n.pixels - t));
                read(q + t * row, row, pixels, d, width, a, NOTHING);
                read(g + (first + t) * all + features, all, pixels, d, width, b);
                softmax(a, pixels, width, 1 / std::sqrt(float(d)));
                multiply<false>(a, C, c, up_to(ROWS, pixels), width, width);
                write(c, pixels, d, width, out + (first + t) * all + features, all);
                query(a, b, turned, c, D, pixels, d, width);
                write(c, pixels, d, width, dq + t * row, row);
            }
            for (int i = 0; i < d; ++i) {
                mean[i] = 0;
                for (int j = 0; j < d; ++j) mean[i] += C[i * width + j] * D[i * width + j];
            }
            transpose(D, width, width, turned);
            for (int64_t t = 0; t < n.pixels; t += TILE) {
                const int pixels = int(std::min<int64_t>(TILE, n.pixels - t));
                read(q + t * row + all, row, pixels, d, width, a);
                read(q + t * row + 2 * all, row, pixels, d, width, b);
                weigh(a, logsum, pixels, width);
                key(a, b, turned, mean, c, pixels, width);
                write(c, pixels, d, width, dq + t * row + all, row);
                multiply<false>(a, D, c, up_to(ROWS, pixels), width, width);
                write(c, pixels, d, width, dq + t * row + 2 * all, row);
            }
        }
    }
}

template <typename T>
void linear_attention_forward(const T *qkv, T *out, float *contexts, float *logsums, const Sizes &n) {
    (n.d == 32 ? forward<T, 32> : forward<T, 0>)(qkv, out, contexts, logsums, n);
}

template <typename T>
void linear_attention_backward(const T *qkv, const T *g, const float *contexts, const float *logsums, T *dqkv, T *out,
                               const Sizes &n) {
    (n.d == 32 ? backward<T, 32> : backward<T, 0>)(qkv, g, contexts, logsums, dqkv, out, n);
}

// The weights are (3 heads d, channels) and (channels, heads d), bias (channels).
template <typename T>
void linear_layer(const T *x, const T *qkv_weight, const T *out_weight, const T *bias, T *y, int64_t channels,
                  const Sizes &n) {
    const Panels<T> to_qkv(qkv_weight, 3 * n.heads * n.d, channels), to_y(out_weight, channels, n.heads * n.d);
    (n.d == 32 ? layer<T, 32> : layer<T, 0>)(x, to_qkv, to_y, bias, y, n);
}

}  // namespace

EXPORT(linear_attention_forward,
       (const T *qkv, T *out, float *contexts, float *logsums, int64_t frames, int64_t pixels, int64_t heads, int64_t d,
        int64_t threads),
       (qkv, out, contexts, logsums, {frames, pixels, heads, int(d), int(threads)}))

EXPORT(linear_attention_backward,
       (const T *qkv, const T *g, const float *contexts, const float *logsums, T *dqkv, T *out, int64_t frames,
        int64_t pixels, int64_t heads, int64_t d, int64_t threads),
       (qkv, g, contexts, logsums, dqkv, out, {frames, pixels, heads, int(d), int(threads)}))

EXPORT(linear_layer,
       (const T *x, const T *qkv_weight, const T *out_weight, const T *bias, T *y, int64_t frames, int64_t pixels,
        int64_t heads, int64_t d, int64_t channels, int64_t threads),
       (x, qkv_weight, out_weight, bias, y, channels, {frames, pixels, heads, int(d), int(threads)}))
