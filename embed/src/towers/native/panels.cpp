// Rows times a matrix that lies as panels of 32 outputs, [outputs / 32, inputs, 32]: what a
// product reads of it lies in one piece, in the order it is read. With the few rows of a text
// reading the weights is most of the work, and strided reads take half as long again.

#include <algorithm>
#include <cstdint>

#ifdef __x86_64__
#include <immintrin.h>

namespace {

constexpr int64_t PANEL = 32;
// 28 of the 32 registers hold sums, two weights, one an input.
constexpr int TILE = 14;
// How many rows of a panel ahead of their use are fetched.
constexpr int64_t AHEAD = 16;

using Multiply = void (*)(const float*, int64_t, const float*, const float*, float*, int64_t);

template <int ROWS>
__attribute__((target("avx512f"))) void multiply(
    const float* rows, int64_t inputs, const float* panel, const float* bias, float* output,
    int64_t outputs) {
    __m512 left[ROWS], right[ROWS];
#pragma GCC unroll 14
    for (int row = 0; row < ROWS; row++) {
        left[row] = bias ? _mm512_loadu_ps(bias) : _mm512_setzero_ps();
        right[row] = bias ? _mm512_loadu_ps(bias + 16) : _mm512_setzero_ps();
    }
    for (int64_t input = 0; input < inputs; input++, panel += PANEL) {
        // Beyond its end nothing is read: a fetch of no page is no fault.
        _mm_prefetch(reinterpret_cast<const char*>(panel + AHEAD * PANEL), _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char*>(panel + AHEAD * PANEL + 16), _MM_HINT_T0);
        const __m512 one = _mm512_loadu_ps(panel), other = _mm512_loadu_ps(panel + 16);
#pragma GCC unroll 14
        for (int row = 0; row < ROWS; row++) {
            const __m512 factor = _mm512_set1_ps(rows[row * inputs + input]);
            left[row] = _mm512_fmadd_ps(factor, one, left[row]);
            right[row] = _mm512_fmadd_ps(factor, other, right[row]);
        }
    }
#pragma GCC unroll 14
    for (int row = 0; row < ROWS; row++) {
        _mm512_storeu_ps(output + row * outputs, left[row]);
        _mm512_storeu_ps(output + row * outputs + 16, right[row]);
    }
}

constexpr Multiply MULTIPLY[TILE] = {
    multiply<1>, multiply<2>, multiply<3>,  multiply<4>,  multiply<5>,  multiply<6>,  multiply<7>,
    multiply<8>, multiply<9>, multiply<10>, multiply<11>, multiply<12>, multiply<13>, multiply<14>,
};

}  // namespace

extern "C" bool clipdb_panels_supported() { return __builtin_cpu_supports("avx512f"); }

// `rows` is [count, inputs], `panel` [inputs, 32], `bias` [32] or null; the answer the first 32
// columns of `output`, which is [count, outputs].
extern "C" void clipdb_panel_multiply(
    const float* rows, int64_t count, int64_t inputs, const float* panel, const float* bias,
    float* output, int64_t outputs) {
    // Tiles are as equal as can be: 16 rows are twice 8, not 14 and 2.
    const int64_t tiles = std::max<int64_t>(1, (count + TILE - 1) / TILE);
    const int64_t each = std::max<int64_t>(1, (count + tiles - 1) / tiles);
    for (int64_t row = 0; row < count; row += each) {
        MULTIPLY[std::min(each, count - row) - 1](
            rows + row * inputs, inputs, panel, bias, output + row * outputs, outputs);
    }
}

#else

extern "C" bool clipdb_panels_supported() { return false; }
extern "C" void clipdb_panel_multiply(
    const float*, int64_t, int64_t, const float*, const float*, float*, int64_t) {}

#endif
