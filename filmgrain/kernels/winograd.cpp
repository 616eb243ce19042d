// Convolution by 3x3 with a border of zeros in a quarter of the multiplications: F(4x4, 3x3) of Lavin & Gray (2016).
//
// A tile of 4x4 outputs is made of 6x6 inputs d. Along rows and along columns, it and the weights g are taken as
// polynomials whose product is found from its values at six points:
//
//     y = A' (sum over inputs of (G g G') * (B' d B)) A
//
// where * goes number by number; so for each of the 36 points it is, over tiles, a product of matrices. The points are
// 0, 3/4, -3/4, 3/2, -3/2 and infinity: all factors of B and A are exact, and errors of rounding are half to a quarter
// of those with the usual 0, 1, -1, 2, -2.
//
// x is (frames, height, width, inputs), weight (outputs, 3, 3, inputs), y (frames, height, width, outputs). Work goes
// by blocks of tiles, slices of WIDE outputs and pieces of DEPTH inputs: what is multiplied lies in the second cache.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "panels.h"

namespace {

constexpr int SIDE = 4, REACH = SIDE + 2, POINTS = REACH * REACH;
constexpr float A = 0.75f, B = 1.5f, A2 = A * A, B2 = B * B;
constexpr int64_t BLOCK = 60, FEW = 256;  // tiles of a block; up to FEW of them make a single one
constexpr int64_t DEPTH = 128;            // inputs whose weights are at the points at a time

struct Sizes {
    int64_t frames, height, width, inputs, outputs;
    int64_t down = (height + SIDE - 1) / SIDE, across = (width + SIDE - 1) / SIDE, tiles = frames * down * across;

    int64_t depth(int64_t c) const { return std::min(DEPTH, inputs - c); }  // of the piece that begins at input c
};

// A vector in memory of others, which need not begin at a whole one.
typedef float Anywhere __attribute__((vector_size(4 * LANES), may_alias, aligned(4)));
inline Lanes anywhere(const float *from) { return *reinterpret_cast<const Anywhere *>(from); }
inline void put_anywhere(float *to, Lanes x) { *reinterpret_cast<Anywhere *>(to) = x; }

// The inputs of a line at the points: B' d. Numbers of the line lie `step` apart, those that come out `by`.
inline void tile_line(const Lanes *d, int step, Lanes *to, int by) {
    const Lanes even_a = d[4 * step] - B2 * d[2 * step], odd_a = d[3 * step] - B2 * d[step];
    const Lanes even_b = d[4 * step] - A2 * d[2 * step], odd_b = d[3 * step] - A2 * d[step];
    to[0] = A2 * B2 * d[0] + (d[4 * step] - (A2 + B2) * d[2 * step]);
    to[by] = even_a + A * odd_a;
    to[2 * by] = even_a - A * odd_a;
    to[3 * by] = even_b + B * odd_b;
    to[4 * by] = even_b - B * odd_b;
    to[5 * by] = A2 * B2 * d[step] + (d[5 * step] - (A2 + B2) * d[3 * step]);
}

// The weights of a line at the points: G g.
inline void weight_line(const Lanes *g, int step, Lanes *to, int by) {
    constexpr float AT_0 = 1 / (A2 * B2), AT_A = 1 / (2 * A2 * (A2 - B2)), AT_B = 1 / (2 * B2 * (B2 - A2));
    const Lanes even_a = AT_A * g[0] + AT_A * A2 * g[2 * step], odd_a = AT_A * A * g[step];
    const Lanes even_b = AT_B * g[0] + AT_B * B2 * g[2 * step], odd_b = AT_B * B * g[step];
    to[0] = AT_0 * g[0];
    to[by] = even_a + odd_a;
    to[2 * by] = even_a - odd_a;
    to[3 * by] = even_b + odd_b;
    to[4 * by] = even_b - odd_b;
    to[5 * by] = g[2 * step];
}

// The outputs of a line from their values at the points: A' m.
inline void output_line(const Lanes *m, int step, Lanes *to, int by) {
    const Lanes even_a = m[step] + m[2 * step], odd_a = m[step] - m[2 * step];
    const Lanes even_b = m[3 * step] + m[4 * step], odd_b = m[3 * step] - m[4 * step];
    to[0] = m[0] + even_a + even_b;
    to[by] = A * odd_a + B * odd_b;
    to[2 * by] = A2 * even_a + B2 * even_b;
    to[3 * by] = A2 * A * odd_a + (B2 * B * odd_b + m[5 * step]);
}

// Memory that begins at a whole vector, with anything in it.
struct Space {
    explicit Space(size_t n) : memory(new float[n + LANES]), at(memory.get()) {
        at += (-reinterpret_cast<uintptr_t>(at) % (4 * LANES)) / 4;
    }
    std::unique_ptr<float[]> memory;
    float *at;
};

constexpr int64_t U_GAP = DEPTH * WIDE + LANES, PIECE = POINTS * U_GAP;

// What a thread works in: v [point, tile, input], m [point, tile, output], u [point, input, output]. The matrices of
// points lie a vector further apart than they are long, since caches confuse what lies a power of two apart.
struct Room {
    Room(const Sizes &s, int64_t tiles)
        : v_gap(tiles * s.inputs + LANES), m_gap(tiles * WIDE + LANES), space(POINTS * (v_gap + m_gap) + PIECE),
          v(space.at), m(v + POINTS * v_gap), u(m + POINTS * m_gap), zeros(s.inputs) {}
    int64_t v_gap, m_gap;
    Space space;
    float *v, *m, *u;
    std::vector<float> zeros;  // a pixel of the border
};

// What is written next is asked for ahead: 36 places at once are more than a processor guesses.
inline void put_points(const Lanes *x, float *to, int64_t gap, int64_t ahead) {
    for (int p = 0; p < POINTS; ++p, to += gap) {
        put(to, x[p]);
        __builtin_prefetch(to + ahead, 1, 3);
    }
}

// v of `count` tiles from `first` on.
void transform_tiles(const float *x, const Sizes &s, int64_t first, int64_t count, const Room &room) {
    for (int64_t t = 0; t < count; ++t) {
        const int64_t tile = first + t, frame = tile / (s.down * s.across);
        const int64_t top = tile / s.across % s.down * SIDE - 1, left = tile % s.across * SIDE - 1;
        const float *from[REACH][REACH], *zeros = room.zeros.data();
        for (int i = 0; i < REACH; ++i)
            for (int j = 0; j < REACH; ++j) {
                const bool inside = top + i >= 0 && top + i < s.height && left + j >= 0 && left + j < s.width;
                from[i][j] = inside ? x + ((frame * s.height + top + i) * s.width + left + j) * s.inputs : zeros;
            }
        for (int64_t c = 0; c < s.inputs; c += LANES) {
            Lanes d[POINTS], half[POINTS];
            for (int i = 0; i < REACH; ++i)
                for (int j = 0; j < REACH; ++j) {
                    d[i * REACH + j] = anywhere(from[i][j] + c);
                    if (j >= 2) __builtin_prefetch(from[i][j] + c + SIDE * s.inputs, 0, 3);  // of the next tile
                }
            for (int i = 0; i < REACH; ++i) tile_line(d + i, REACH, half + i, REACH);
            for (int i = 0; i < REACH; ++i) tile_line(half + i * REACH, 1, d + i * REACH, 1);
            put_points(d, room.v + t * s.inputs + c, room.v_gap, 2 * LANES);
        }
    }
}

// u of the WIDE outputs and `depth` inputs whose weights these are.
void transform_weights(const float *weight, int64_t inputs, int64_t depth, float *u) {
    for (int64_t c = 0; c < depth; c += LANES)
        for (int k = 0; k < WIDE; k += LANES) {
            Lanes g[9][LANES];
            for (int t = 0; t < 9; ++t) {
                for (int i = 0; i < LANES; ++i) g[t][i] = anywhere(weight + ((k + i) * 9 + t) * inputs + c);
                transpose_square<LANES / 2>(g[t]);
            }
            for (int i = 0; i < LANES; ++i) {
                Lanes half[REACH * 3], all[POINTS];
                for (int x = 0; x < 3; ++x) weight_line(&g[x][i], 3 * LANES, half + x, 3);
                for (int y = 0; y < REACH; ++y) weight_line(half + 3 * y, 1, all + y * REACH, 1);
                put_points(all, u + (c + i) * WIDE + k, U_GAP, 2 * WIDE);
            }
        }
}

// y of the slice of outputs that m is of.
void transform_back(const Room &room, const float *bias, const Sizes &s, int64_t first, int64_t count, float *y) {
    for (int64_t t = 0; t < count; ++t) {
        const int64_t tile = first + t, frame = tile / (s.down * s.across);
        const int64_t top = tile / s.across % s.down * SIDE, left = tile % s.across * SIDE;
        const int64_t rows = std::min<int64_t>(SIDE, s.height - top), columns = std::min<int64_t>(SIDE, s.width - left);
        float *to = y + ((frame * s.height + top) * s.width + left) * s.outputs;
        for (int k = 0; k < WIDE; k += LANES) {
            Lanes m[POINTS], half[SIDE * REACH], all[SIDE * SIDE];
            for (int p = 0; p < POINTS; ++p) m[p] = get(room.m + p * room.m_gap + t * WIDE + k);
            for (int i = 0; i < REACH; ++i) output_line(m + i, REACH, half + i, REACH);
            for (int i = 0; i < SIDE; ++i) output_line(half + i * REACH, 1, all + i * SIDE, 1);
            for (int i = 0; i < rows; ++i)
                for (int j = 0; j < columns; ++j) {
                    float *pixel = to + (i * s.width + j) * s.outputs + k;
                    put_anywhere(pixel, all[i * SIDE + j] + anywhere(bias + k));
                    __builtin_prefetch(pixel + SIDE * s.outputs, 1, 3);  // of the next tile
                }
        }
    }
}

// Of all tiles in the room, with weights at `u` of `depth` inputs from c on.
void multiply(const Room &room, const float *u, int64_t count, int64_t inputs, int64_t c, int64_t depth) {
    for (int p = 0; p < POINTS; ++p)
        panel_product(count, room.m + p * room.m_gap, WIDE, room.v + p * room.v_gap + c, inputs, u + p * U_GAP, depth,
                      c > 0);
}

// Many tiles: threads take blocks of them, when all weights are at the points. Few tiles, of many channels as a rule:
// threads take slices of outputs, and bring their weights to the points a piece at a time.
void convolve(const float *x, const float *weight, const float *bias, float *y, const Sizes &s, int64_t threads) {
    const bool few = s.tiles <= FEW;
    const int64_t slices = s.outputs / WIDE, pieces = (s.inputs + DEPTH - 1) / DEPTH;
    const Space all(few ? 0 : slices * pieces * PIECE);
    const auto to_points = [&](int64_t k, int64_t c, float *u) {
        transform_weights(weight + k * WIDE * 9 * s.inputs + c, s.inputs, s.depth(c), u);
        return u;
    };
#pragma omp parallel num_threads(int(threads))
    {
        const Room room(s, few ? s.tiles : BLOCK);
        const auto finish = [&](int64_t k, int64_t first, int64_t count) {
            for (int64_t c = 0; c < s.inputs; c += DEPTH) {
                const float *u = few ? to_points(k, c, room.u) : all.at + (k * pieces + c / DEPTH) * PIECE;
                multiply(room, u, count, s.inputs, c, s.depth(c));
            }
            transform_back(room, bias + k * WIDE, s, first, count, y + k * WIDE);
        };
        if (few) {
            transform_tiles(x, s, 0, s.tiles, room);
#pragma omp for schedule(dynamic)
            for (int64_t k = 0; k < slices; ++k) finish(k, 0, s.tiles);
        } else {
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < slices * pieces; ++i) to_points(i / pieces, i % pieces * DEPTH, all.at + i * PIECE);
#pragma omp for schedule(dynamic)
            for (int64_t first = 0; first < s.tiles; first += BLOCK) {
                const int64_t count = std::min(BLOCK, s.tiles - first);
                transform_tiles(x, s, first, count, room);
                for (int64_t k = 0; k < slices; ++k) finish(k, first, count);
            }
        }
    }
}

}  // namespace

extern "C" void winograd_float32(const float *x, const float *weight, const float *bias, float *y, int64_t frames,
                                 int64_t height, int64_t width, int64_t inputs, int64_t outputs, int64_t threads) {
    convolve(x, weight, bias, y, {frames, height, width, inputs, outputs}, threads);
}
