// bfloat16, and elementary functions so written that the compiler makes vectors of loops over them.
//
// Sums in such loops need `#pragma omp simd reduction(+ : sum)`: the flags of build.py keep the order of additions, and
// NaN and infinity, as they are written.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

struct bfloat16 {
    uint16_t bits;
};

inline float as_float(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

inline uint32_t as_bits(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

inline float load(float x) { return x; }
inline float load(bfloat16 x) { return as_float(uint32_t(x.bits) << 16); }

inline void store(float *at, float x) { *at = x; }

// To the nearest, ties to even; NaN stays NaN.
inline void store(bfloat16 *at, float x) {
    const uint32_t bits = as_bits(x), nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    at->bits = uint16_t((bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : nearest);
}

// n numbers as float32: where they are, or put into `room`.
inline const float *widened(const float *x, float *, int64_t) { return x; }
inline const float *widened(const bfloat16 *x, float *room, int64_t n) {
    for (int64_t i = 0; i < n; i++) room[i] = load(x[i]);
    return room;
}

// e^x for x in [-87.3, 88.3], within 2 units of the last place (Cephes' polynomial).
inline float exponential_within(float x) {
    const float n = __builtin_rintf(x * 1.44269504f);
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1;
    return as_float(as_bits(p) + (uint32_t(int32_t(n)) << 23));  // times 2^n
}

// e^x; 0 below -87.3, 2.4e38 above 88.3.
inline float exponential(float x) {
    const float above = x < -87.3f ? -87.3f : x;
    return x < -87.3f ? 0 : exponential_within(above > 88.37f ? 88.37f : above);
}

// 1 / (1 + e^-x); of NaN anything.
inline float sigmoid(float x) {
    const uint32_t size = as_bits(x) & 0x7fffffff, most = 0x42ae0000;  // of 87; as integers they compare in one step
    const float e = exponential_within(-as_float(size < most ? size : most));
    return (x < 0 ? e : 1) / (1 + e);
}

inline float silu(float x) { return x * sigmoid(x); }

// The derivative of silu.
inline float silu_slope(float x) {
    const float s = sigmoid(x);
    return s * (1 + x * (1 - s));
}

// C functions NAME_float32 and NAME_bfloat16 of a template NAME<T>; `parameters` say T where the two differ:
//     EXPORT(copy, (const T *x, T *y, int64_t n, int64_t threads), (x, y, n, threads))
#define EXPORT(NAME, PARAMETERS, ARGUMENTS)                            \
    namespace as_float32 {                                             \
    using T = float;                                                   \
    extern "C" void NAME##_float32 PARAMETERS { NAME<T> ARGUMENTS; }   \
    }                                                                  \
    namespace as_bfloat16 {                                            \
    using T = bfloat16;                                                \
    extern "C" void NAME##_bfloat16 PARAMETERS { NAME<T> ARGUMENTS; }  \
    }
