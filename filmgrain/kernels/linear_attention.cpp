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
// (the sum over pixels of s ds is the sum over features of C D). So two small matrices and two numbers a feature are all
// that pixels share, and all else is made of a tile of pixels while it is in the first cache.
//
// Memory: qkv (frames, pixels, 3, heads, d), out (frames, pixels, heads, d), both as they are stored; context C (frames,
// heads, d, d) and logsum (frames, heads, d), the log of the sum over pixels of exp(k), both in float32.

#include <algorithm>
#include <vector>

#include "vector.h"

namespace {

#if defined __AVX512F__
constexpr int LANES = 16, ROWS = 8;
#elif defined __AVX__
constexpr int LANES = 8, ROWS = 4;
#else
constexpr int LANES = 4, ROWS = 8;
#endif
constexpr int COLUMNS = 2;             // a product sums up ROWS x COLUMNS vectors in registers
constexpr int STEP = COLUMNS * LANES;  // features are padded to a multiple of it
constexpr int TILE = 64;               // pixels; a multiple of ROWS

typedef float Vec __attribute__((vector_size(LANES * sizeof(float))));
#define INLINE inline __attribute__((always_inline))

INLINE Vec &at(float *p) { return *reinterpret_cast<Vec *>(p); }
INLINE const Vec &at(const float *p) { return *reinterpret_cast<const Vec *>(p); }
INLINE Vec larger(Vec a, Vec b) { return a > b ? a : b; }

INLINE float total(Vec x) {
    float part[LANES];
    std::memcpy(part, &x, sizeof x);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) part[i] += part[i + half];
    return part[0];
}

INLINE float largest(Vec x) {
    float part[LANES];
    std::memcpy(part, &x, sizeof x);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) part[i] = part[i] > part[i + half] ? part[i] : part[i + half];
    return part[0];
}

INLINE int up_to(int multiple, int n) { return (n + multiple - 1) / multiple * multiple; }

struct Sizes {
    int64_t frames, pixels, heads;
    int d, threads;
};

// What one thread works in: aligned floats, zeros at first, taken piece by piece.
class Scratch {
  public:
    explicit Scratch(int64_t floats) : memory(floats / LANES) {}
    float *take(int64_t floats) {
        used += floats;
        return reinterpret_cast<float *>(memory.data()) + used - floats;
    }

  private:
    std::vector<Vec> memory;
    int64_t used = 0;
};

// Pixels that lie `row` apart, to rows of `width` floats: `pad` from d on, and zeros below up to a multiple of ROWS.
template <typename T>
INLINE void fetch(const T *from, int64_t row, int pixels, int d, int width, float *__restrict to, float pad = 0) {
    for (int i = 0; i < pixels; i++, to += width) {
        for (int j = 0; j < d; j++) to[j] = load(from[i * row + j]);
        for (int j = d; j < width; j++) to[j] = pad;
    }
    std::fill(to, to + (up_to(ROWS, pixels) - pixels) * width, 0.0f);
}

template <typename T>
INLINE void put(const float *__restrict from, T *__restrict to, int64_t row, int pixels, int d, int width) {
    for (int i = 0; i < pixels; i++)
        for (int j = 0; j < d; j++) store(to + i * row + j, from[i * width + j]);
}

// out (rows, width) = a b, with a (rows, inner) and b (inner, width). ACROSS: out += a^T b, with a (inner, rows).
template <bool ACROSS>
INLINE void product(const float *a, const float *b, float *out, int rows, int inner, int width) {
    for (int i = 0; i < rows; i += ROWS)
        for (int j = 0; j < width; j += STEP) {
            Vec sum[ROWS][COLUMNS] = {};
            for (int t = 0; t < inner; t++)
                for (int r = 0; r < ROWS; r++)
                    for (int c = 0; c < COLUMNS; c++)
                        sum[r][c] += (ACROSS ? a[t * rows + i + r] : a[(i + r) * inner + t]) *
                                     at(b + t * width + j + c * LANES);
            for (int r = 0; r < ROWS; r++)
                for (int c = 0; c < COLUMNS; c++) {
                    Vec &to = at(out + (i + r) * width + j + c * LANES);
                    to = ACROSS ? to + sum[r][c] : sum[r][c];
                }
        }
}

INLINE void transpose(const float *from, float *__restrict to, int width) {
    for (int i = 0; i < width; i++)
        for (int j = 0; j < width; j++) to[j * width + i] = from[i * width + j];
}

// exp(rows - shift), where each feature has its shift.
INLINE void weigh(float *__restrict rows, const float *__restrict shift, int pixels, int width) {
    for (int i = 0; i < pixels; i++, rows += width)
        for (int j = 0; j < width; j++) rows[j] = exponential(rows[j] - shift[j]);
}

constexpr float NOTHING = -1e30f;  // of which a softmax makes zero

// The softmax of each row over d features, behind which it holds NOTHING, times `scale`.
INLINE void softmax(float *row, int pixels, int width, float scale) {
    for (int i = 0; i < pixels; i++, row += width) {
        Vec most = at(row), sum = {};
        for (int j = LANES; j < width; j += LANES) most = larger(at(row + j), most);
        const float shift = largest(most);
        for (int j = 0; j < width; j++) row[j] = exponential(row[j] - shift);
        for (int j = 0; j < width; j += LANES) sum += at(row + j);
        const float factor = scale / total(sum);
        for (int j = 0; j < width; j++) row[j] *= factor;
    }
}

// What a head keeps while the pixels of its frame go by: the largest k so far, the sum of exp(k - largest), and C.
struct Kept {
    float *most, *sum, *context;
};

// A tile of pixels joins what is kept, which shrinks where the largest k has grown. Of k its weights are left.
INLINE void join(float *k, const float *v, int pixels, int width, bool first, const Kept &kept) {
    for (int j = 0; j < width; j += LANES) {
        Vec most = first ? at(k + j) : at(kept.most + j);
        for (int i = 0; i < pixels; i++) most = larger(at(k + i * width + j), most);
        for (int lane = 0; lane < LANES && !first; lane++) {
            float &before = kept.most[j + lane];
            if (most[lane] == before) continue;
            const float shrunk = exponential(before - most[lane]);
            kept.sum[j + lane] *= shrunk;
            for (int c = 0; c < width; c++) kept.context[(j + lane) * width + c] *= shrunk;
        }
        at(kept.most + j) = most;
    }
    weigh(k, kept.most, pixels, width);
    for (int j = 0; j < width; j += LANES) {
        Vec sum = at(kept.sum + j);
        for (int i = 0; i < pixels; i++) sum += at(k + i * width + j);
        at(kept.sum + j) = sum;
    }
    product<true>(k, v, kept.context, width, up_to(ROWS, pixels), width);
}

// FIXED: d where the compiler is to know it, else 0.
template <typename T, int FIXED>
void forward(const T *qkv, T *out, float *contexts, float *logsums, const Sizes &n) {
    const int d = FIXED ? FIXED : n.d, width = up_to(STEP, d), tile = TILE * width;
    const int64_t all = n.heads * d, row = 3 * all;
#pragma omp parallel num_threads(n.threads)
    {
        Scratch scratch(3 * tile + (2 + width) * width);
        float *a = scratch.take(tile), *b = scratch.take(tile), *c = scratch.take(tile);
        const Kept kept = {scratch.take(width), scratch.take(width), scratch.take(width * width)};
#pragma omp for
        for (int64_t task = 0; task < n.frames * n.heads; task++) {
            const int64_t first = task / n.heads * n.pixels, features = task % n.heads * d;
            const T *q = qkv + first * row + features;
            std::fill(kept.sum, kept.sum + width, 0.0f);
            std::fill(kept.context, kept.context + width * width, 0.0f);
            for (int64_t t = 0; t < n.pixels; t += TILE) {
                const int pixels = int(std::min<int64_t>(TILE, n.pixels - t));
                fetch(q + t * row + all, row, pixels, d, width, a);
                fetch(q + t * row + 2 * all, row, pixels, d, width, b);
                join(a, b, pixels, width, t == 0, kept);
            }
            for (int i = 0; i < d; i++) {
                logsums[task * d + i] = kept.most[i] + std::log(kept.sum[i]);
                for (int j = 0; j < width; j++) kept.context[i * width + j] /= kept.sum[i];
                std::copy_n(kept.context + i * width, d, contexts + (task * d + i) * d);
            }
            for (int64_t t = 0; t < n.pixels; t += TILE) {
                const int pixels = int(std::min<int64_t>(TILE, n.pixels - t));
                fetch(q + t * row, row, pixels, d, width, a, NOTHING);
                softmax(a, pixels, width, 1 / std::sqrt(float(d)));
                product<false>(a, kept.context, c, up_to(ROWS, pixels), width, width);
                put(c, out + (first + t) * all + features, all, pixels, d, width);
            }
        }
    }
}

// dq of a tile, and the tile's part of D; of p, which is times 1 / sqrt(d), of g, and of C^T.
INLINE void query(const float *p, const float *g, const float *turned, float *dq, float *D, int pixels, int d, int width) {
    const int rows = up_to(ROWS, pixels);
    product<true>(p, g, D, width, rows, width);
    product<false>(g, turned, dq, rows, width, width);
    const float root = std::sqrt(float(d));
    for (int i = 0; i < pixels; i++, p += width, dq += width) {
        Vec sum = {};
        for (int j = 0; j < width; j += LANES) sum += at(p + j) * at(dq + j);
        const float mean = total(sum) * root;
        for (int j = 0; j < width; j += LANES) at(dq + j) = at(p + j) * (at(dq + j) - mean);
    }
}

// dk of a tile; of s, of v, of D^T, and of the sums over features of C D.
INLINE void key(const float *s, const float *v, const float *turned, const float *mean, float *dk, int pixels, int width) {
    product<false>(v, turned, dk, up_to(ROWS, pixels), width, width);
    for (int i = 0; i < pixels * width; i += width)
        for (int j = 0; j < width; j += LANES) at(dk + i + j) = at(s + i + j) * (at(dk + i + j) - at(mean + j));
}

template <typename T, int FIXED>
void backward(const T *qkv, const T *g, const float *contexts, const float *logsums, T *dqkv, const Sizes &n) {
    const int d = FIXED ? FIXED : n.d, width = up_to(STEP, d), tile = TILE * width, square = width * width;
    const int64_t all = n.heads * d, row = 3 * all;
#pragma omp parallel num_threads(n.threads)
    {
        Scratch scratch(3 * tile + 3 * square + 2 * width);
        float *a = scratch.take(tile), *b = scratch.take(tile), *c = scratch.take(tile);
        float *C = scratch.take(square), *D = scratch.take(square), *turned = scratch.take(square);
        float *logsum = scratch.take(width), *mean = scratch.take(width);
#pragma omp for
        for (int64_t task = 0; task < n.frames * n.heads; task++) {
            const int64_t first = task / n.heads * n.pixels, features = task % n.heads * d;
            const T *q = qkv + first * row + features;
            T *dq = dqkv + first * row + features;
            for (int i = 0; i < d; i++) std::copy_n(contexts + (task * d + i) * d, d, C + i * width);
            std::copy_n(logsums + task * d, d, logsum);
            std::fill(D, D + square, 0.0f);
            transpose(C, turned, width);
            for (int64_t t = 0; t < n.pixels; t += TILE) {
                const int pixels = int(std::min<int64_t>(TILE, n.pixels - t));
                fetch(q + t * row, row, pixels, d, width, a, NOTHING);
                fetch(g + (first + t) * all + features, all, pixels, d, width, b);
                softmax(a, pixels, width, 1 / std::sqrt(float(d)));
                query(a, b, turned, c, D, pixels, d, width);
                put(c, dq + t * row, row, pixels, d, width);
            }
            for (int i = 0; i < d; i++) {
                Vec sum = {};
                for (int j = 0; j < width; j += LANES) sum += at(C + i * width + j) * at(D + i * width + j);
                mean[i] = total(sum);
            }
            transpose(D, turned, width);
            for (int64_t t = 0; t < n.pixels; t += TILE) {
                const int pixels = int(std::min<int64_t>(TILE, n.pixels - t));
                fetch(q + t * row + all, row, pixels, d, width, a);
                fetch(q + t * row + 2 * all, row, pixels, d, width, b);
                weigh(a, logsum, pixels, width);
                key(a, b, turned, mean, c, pixels, width);
                put(c, dq + t * row + all, row, pixels, d, width);
                product<false>(a, D, c, up_to(ROWS, pixels), width, width);
                put(c, dq + t * row + 2 * all, row, pixels, d, width);
            }
        }
    }
}

template <typename T>
void linear_attention_forward(const T *qkv, T *out, float *contexts, float *logsums, const Sizes &n) {
    (n.d == 32 ? forward<T, 32> : forward<T, 0>)(qkv, out, contexts, logsums, n);
}

template <typename T>
void linear_attention_backward(const T *qkv, const T *g, const float *contexts, const float *logsums, T *dqkv,
                               const Sizes &n) {
    (n.d == 32 ? backward<T, 32> : backward<T, 0>)(qkv, g, contexts, logsums, dqkv, n);
}

}  // namespace

EXPORT(linear_attention_forward,
       (const T *qkv, T *out, float *contexts, float *logsums, int64_t frames, int64_t pixels, int64_t heads, int64_t d,
        int64_t threads),
       (qkv, out, contexts, logsums, {frames, pixels, heads, int(d), int(threads)}))

EXPORT(linear_attention_backward,
       (const T *qkv, const T *g, const float *contexts, const float *logsums, T *dqkv, int64_t frames, int64_t pixels,
        int64_t heads, int64_t d, int64_t threads),
       (qkv, g, contexts, logsums, dqkv, {frames, pixels, heads, int(d), int(threads)}))
