// Attention among the frames of a clip, a pixel at a time: what among_frames of blocks/attention.py computes.
//
// A tile is one head of one pixel: a row of features for each frame, and the rows of two frames lie a picture apart.
// So a tile is gathered into small float buffers, all is computed there, and the result is scattered back as it came.
// Scores have a row for each key and a lane for each query. Then softmax goes down the rows and never across lanes, and
// all six products are of one kind: rows of lanes, each weighted by one number.

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "panels.h"

namespace {

constexpr int64_t AT_ONCE = 96;  // rows of pixels and frames that go through the whole layer together

struct Shape {
    int64_t samples, frames, pixels, heads, width, biases;  // width: features of a head; biases: 1, or one a sample
    int f = int(frames), d = int(width), queries = padded(f), columns = padded(d);  // the last two in whole vectors

    int64_t row() const { return heads * width; }  // of v and of out; a row of qkv is three of them
    // How many parts a sample's pixels are shared out in, whatever the threads.
    int64_t parts() const { return std::max<int64_t>(1, std::min(128 / std::max<int64_t>(1, samples), pixels)); }
};

// Both of these ask for the rows of the next pixel, `next` further on: the processor would not guess them from so many
// places at once. It makes the whole faster by a third.
template <typename T>
void gather(const T *from, int64_t stride, int64_t next, const Shape &s, float *to) {
    for (int i = 0; i < s.f; ++i, from += stride, to += s.columns) {
        for (int c = 0; c < s.d; c += 64 / int(sizeof(T))) __builtin_prefetch(from + next + c, 0, 2);
        convert(from, to, s.d);
    }
}

template <typename T>
void scatter(const float *from, const Shape &s, T *to, int64_t stride, int64_t next) {
    for (int i = 0; i < s.f; ++i, from += s.columns, to += stride) {
        for (int c = 0; c < s.d; c += 64 / int(sizeof(T))) __builtin_prefetch(to + next + c, 1, 3);
        convert(from, to, s.d);
    }
}

// Turns each pair (x, y) of features to (x cos - y sin, y cos + x sin), times a scale.
struct Turn {
    Turn(const float *cosines, const float *sines, float scale, const Shape &s)
        : n(s.f * s.columns), buffer(2 * n), cos(buffer.take(n)), sin(buffer.take(n)) {
        for (int i = 0; i < s.f; ++i)
            for (int j = 0; j < s.d; ++j) {
                cos[i * s.columns + j] = scale * cosines[i * s.d + j];
                sin[i * s.columns + j] = scale * sines[i * s.d + j] * (j % 2 ? 1 : -1);
            }
    }
    void apply(float *tile) const {
        for (int i = 0; i < n; i += LANES)
            put(tile + i, get(tile + i) * get(cos + i) + swapped(tile + i) * get(sin + i));
    }
    void apply_transposed(float *tile) const {
        for (int i = 0; i < n; i += LANES)
            put(tile + i, get(tile + i) * get(cos + i) - swapped(tile + i) * get(sin + i));
    }
    static Lanes swapped(const float *x) {
        const Pairs pairs = (Pairs)get(x);
        return (Lanes)((pairs << 32) | (pairs >> 32));
    }
    int n;
    Buffer buffer;
    float *cos, *sin;
};

// From scores[j, i] to the weights of keys j for each query i, in place.
void softmax(float *scores, const float *bias, const Shape &s) {
    const int n = s.f * s.queries;
    for (int i = 0; i < s.queries; i += LANES) {
        Lanes top = get(scores + i) + get(bias + i);
        for (int j = i; j < n; j += s.queries) {
            const Lanes x = get(scores + j) + get(bias + j);
            put(scores + j, x);
            top = x > top ? x : top;
        }
        for (int j = i; j < n; j += s.queries) put(scores + j, get(scores + j) - top);
    }
    for (int j = 0; j < n; j += LANES)
        for (int lane = 0; lane < LANES; ++lane) scores[j + lane] = exponential(scores[j + lane]);
    for (int i = 0; i < s.queries; i += LANES) {
        Lanes sum = {};
        for (int j = i; j < n; j += s.queries) sum += get(scores + j);
        const Lanes share = 1.0f / sum;
        for (int j = i; j < n; j += s.queries) put(scores + j, get(scores + j) * share);
    }
}

// slopes[j, i], of the weights, become those of the scores, which are added to the bias's own.
void softmax_backward(const float *weights, float *slopes, float *bias, const Shape &s) {
    const int n = s.f * s.queries;
    for (int i = 0; i < s.queries; i += LANES) {
        Lanes mean = {};
        for (int j = i; j < n; j += s.queries) mean += get(weights + j) * get(slopes + j);
        for (int j = i; j < n; j += s.queries) {
            const Lanes x = get(weights + j) * (get(slopes + j) - mean);
            put(slopes + j, x);
            put(bias + j, get(bias + j) + x);
        }
    }
}

// What all tiles share: the turns, q's with 1 / sqrt(d) in it, and the bias as [sample, head, key, query].
struct Shared {
    Shared(const float *given, const float *cos, const float *sin, const Shape &s)
        : q(cos, sin, 1 / std::sqrt(float(s.d)), s), k(cos, sin, 1, s), square(s.f * s.queries),
          buffer(s.biases * s.heads * square), bias(buffer.next) {
        for (int64_t n = 0; n < s.biases * s.heads; ++n)
            for (int i = 0; i < s.f; ++i)
                for (int j = 0; j < s.f; ++j) bias[n * square + j * s.queries + i] = given[(n * s.f + i) * s.f + j];
    }
    const float *bias_of(int64_t sample, int64_t head, const Shape &s) const {
        return bias + ((s.biases > 1 ? sample : 0) * s.heads + head) * square;
    }
    Turn q, k;
    int64_t square;
    Buffer buffer;
    float *bias;
};

// The buffers of a thread: rows for queries or keys, columns for features, both padded by zeros.
struct Tile {
    explicit Tile(const Shape &s)
        : wide(s.queries * s.columns), square(s.queries * s.queries), buffer(7 * wide + 2 * square) {
        for (float **x : {&q, &k, &v, &q_across, &slope, &slope_across, &result}) *x = buffer.take(wide);
        for (float **x : {&weights, &slopes}) *x = buffer.take(square);
    }
    // Gathers q, k and v, of which the next pixel's are `next` further on, turns the first two, and finds the weights.
    template <typename T>
    void weigh(const T *qkv, int64_t stride, int64_t next, const float *bias, const Shared &shared, const Shape &s) {
        const int64_t row = s.row();
        gather(qkv, stride, next, s, q);
        gather(qkv + row, stride, next, s, k);
        gather(qkv + 2 * row, stride, next, s, v);
        shared.q.apply(q);
        shared.k.apply(k);
        transpose(q, s.queries, s.columns, q_across);
        product<false>(weights, k, s.columns, q_across, s.f, s.d, s.queries);
        softmax(weights, bias, s);
    }
    size_t wide, square;
    Buffer buffer;
    float *q, *k, *v, *q_across, *slope, *slope_across, *result;  // slope: the gradient of out
    float *weights, *slopes;                                      // [key, query]
};

// Calls visit(sample, part, pixel, head, tile) for all tiles, the parts of all samples in parallel.
template <typename Visit>
void for_tiles(const Shape &s, int64_t threads, const Visit &visit) {
    const int64_t parts = s.parts();
#pragma omp parallel num_threads(int(threads))
    {
        Tile tile(s);
#pragma omp for schedule(dynamic)
        for (int64_t part = 0; part < s.samples * parts; ++part) {
            const int64_t n = part % parts, from = s.pixels * n / parts, to = s.pixels * (n + 1) / parts;
            for (int64_t pixel = from; pixel < to; ++pixel)
                for (int64_t head = 0; head < s.heads; ++head) visit(part / parts, part, pixel, head, tile);
        }
    }
}

template <typename T>
void forward(const T *qkv, const Shared &shared, T *out, const Shape &s, int64_t threads) {
    const int64_t row = s.row(), stride = s.pixels * row;
    for_tiles(s, threads, [&](int64_t sample, int64_t, int64_t pixel, int64_t head, Tile &tile) {
        const int64_t first = sample * s.frames * s.pixels + pixel;
        tile.weigh(qkv + first * 3 * row + head * s.width, 3 * stride, 3 * row, shared.bias_of(sample, head, s), shared, s);
        product<true>(tile.result, tile.weights, s.queries, tile.v, s.f, s.f, s.columns);
        scatter(tile.result, s, out + first * row + head * s.width, stride, row);
    });
}

// The whole layer, from x (samples, frames, pixels, channels) to y of the same sizes. Its queries, keys and values are
// many times as large as x: they are made of a few pixels at a time, and never leave the second cache.
template <typename T>
void layer(const T *x, const Panels<T> &to_qkv, const Panels<T> &to_y, const Shared &shared, T *y, const Shape &s,
           int64_t threads) {
    const int64_t row = s.row(), channels = to_y.outputs, stride = s.pixels * channels;
    const int64_t parts = s.parts(), most = std::max<int64_t>(1, AT_ONCE / s.frames);
#pragma omp parallel num_threads(int(threads))
    {
        Tile tile(s);
        Buffer buffer(most * s.frames * (4 * row + 2 * channels));
        T *in = buffer.take<T>(most * s.frames * channels), *mixed = buffer.take<T>(most * s.frames * row);
        float *qkv = buffer.take(most * s.frames * 3 * row), *out = buffer.take(most * s.frames * channels);
#pragma omp for schedule(dynamic)
        for (int64_t part = 0; part < s.samples * parts; ++part) {
            const int64_t sample = part / parts, n = part % parts, last = s.pixels * (n + 1) / parts;
            for (int64_t pixel = s.pixels * n / parts; pixel < last; pixel += most) {
                const int64_t count = std::min(most, last - pixel), rows = count * s.frames;
                const int64_t first = (sample * s.frames * s.pixels + pixel) * channels;
                for (int64_t f = 0; f < s.frames; ++f)
                    std::copy_n(x + first + f * stride, count * channels, in + f * count * channels);
                to_qkv.apply(rows, in, qkv);
                for (int64_t p = 0; p < count; ++p)
                    for (int64_t head = 0; head < s.heads; ++head) {
                        const float *place = qkv + p * 3 * row + head * s.width;
                        tile.weigh(place, count * 3 * row, 0, shared.bias_of(sample, head, s), shared, s);
                        product<true>(tile.result, tile.weights, s.queries, tile.v, s.f, s.f, s.columns);
                        scatter(tile.result, s, mixed + p * row + head * s.width, count * row, 0);
                    }
                to_y.apply(rows, mixed, out);
                for (int64_t f = 0; f < s.frames; ++f)
                    convert(out + f * count * channels, y + first + f * stride, int(count * channels));
            }
        }
    }
}

template <typename T>
void backward(const T *grad, const T *qkv, const Shared &shared, T *grad_qkv, T *out, float *partial, const Shape &s,
              int64_t threads) {
    const int64_t row = s.row(), stride = s.pixels * row;
    for_tiles(s, threads, [&](int64_t sample, int64_t part, int64_t pixel, int64_t head, Tile &tile) {
        const int64_t first = sample * s.frames * s.pixels + pixel, place = first * 3 * row + head * s.width;
        tile.weigh(qkv + place, 3 * stride, 3 * row, shared.bias_of(sample, head, s), shared, s);
        gather(grad + first * row + head * s.width, stride, row, s, tile.slope);

        product<true>(tile.result, tile.weights, s.queries, tile.v, s.f, s.f, s.columns);
        scatter(tile.result, s, out + first * row + head * s.width, stride, row);

        product<false>(tile.result, tile.weights, s.queries, tile.slope, s.f, s.f, s.columns);
        scatter(tile.result, s, grad_qkv + place + 2 * row, 3 * stride, 3 * row);  // of v

        transpose(tile.slope, s.queries, s.columns, tile.slope_across);
        product<false>(tile.slopes, tile.v, s.columns, tile.slope_across, s.f, s.d, s.queries);
        softmax_backward(tile.weights, tile.slopes, partial + (part * s.heads + head) * shared.square, s);

        product<true>(tile.result, tile.slopes, s.queries, tile.k, s.f, s.f, s.columns);
        shared.q.apply_transposed(tile.result);
        scatter(tile.result, s, grad_qkv + place, 3 * stride, 3 * row);  // of q

        product<false>(tile.result, tile.slopes, s.queries, tile.q, s.f, s.f, s.columns);
        shared.k.apply_transposed(tile.result);
        scatter(tile.result, s, grad_qkv + place + row, 3 * stride, 3 * row);  // of k
    });
}

// Adds up the gradients of the bias that each part has found, in one order whatever the threads.
void add_parts(const float *partial, float *grad_bias, const Shape &s) {
    for (int64_t part = 0; part < s.samples * s.parts(); ++part) {
        float *to = grad_bias + (s.biases > 1 ? part / s.parts() : 0) * s.heads * s.f * s.f;
        for (int64_t head = 0; head < s.heads; ++head, to += s.f * s.f, partial += s.f * s.queries)
            for (int j = 0; j < s.f; ++j)
                for (int i = 0; i < s.f; ++i) to[i * s.f + j] += partial[j * s.queries + i];
    }
}

// qkv is [samples, frames, pixels, 3, heads, width]; out and grad are the same without the 3; bias is [biases, heads,
// frames, frames]; cos and sin are [frames, width].
template <typename T>
void temporal_attention(const T *qkv, const float *bias, const float *cos, const float *sin, T *out, const Shape &s,
                        int64_t threads) {
    forward(qkv, Shared(bias, cos, sin, s), out, s, threads);
}

// x and y are [samples, frames, pixels, channels], the weights (3 heads width, channels) and (channels, heads width).
template <typename T>
void temporal_layer(const T *x, const T *qkv_weight, const T *out_weight, const float *bias, const float *cos,
                    const float *sin, T *y, const Shape &s, int64_t channels, int64_t threads) {
    const Panels<T> to_qkv(qkv_weight, 3 * s.row(), channels), to_y(out_weight, channels, s.row());
    layer(x, to_qkv, to_y, Shared(bias, cos, sin, s), y, s, threads);
}

// The gradients of qkv, and of bias: zeros that are added to. And out again, for who has not kept it.
template <typename T>
void temporal_attention_backward(const T *grad, const T *qkv, const float *bias, const float *cos, const float *sin,
                                 T *grad_qkv, float *grad_bias, T *out, const Shape &s, int64_t threads) {
    Buffer partial(s.samples * s.parts() * s.heads * s.f * s.queries);
    backward(grad, qkv, Shared(bias, cos, sin, s), grad_qkv, out, partial.next, s, threads);
    add_parts(partial.next, grad_bias, s);
}

}  // namespace

EXPORT(temporal_attention,
       (const T *qkv, const float *bias, const float *cos, const float *sin, T *out, int64_t samples, int64_t frames,
        int64_t pixels, int64_t heads, int64_t width, int64_t biases, int64_t threads),
       (qkv, bias, cos, sin, out, {samples, frames, pixels, heads, width, biases}, threads))
EXPORT(temporal_attention_backward,
       (const T *grad, const T *qkv, const float *bias, const float *cos, const float *sin, T *grad_qkv,
        float *grad_bias, T *out, int64_t samples, int64_t frames, int64_t pixels, int64_t heads, int64_t width,
        int64_t biases, int64_t threads),
       (grad, qkv, bias, cos, sin, grad_qkv, grad_bias, out, {samples, frames, pixels, heads, width, biases}, threads))

EXPORT(temporal_layer,
       (const T *x, const T *qkv_weight, const T *out_weight, const float *bias, const float *cos, const float *sin,
        T *y, int64_t samples, int64_t frames, int64_t pixels, int64_t heads, int64_t width, int64_t biases,
        int64_t channels, int64_t threads),
       (x, qkv_weight, out_weight, bias, cos, sin, y, {samples, frames, pixels, heads, width, biases}, channels,
        threads))
