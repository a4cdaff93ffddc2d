// Multiplies rows by a panel: 32 outputs of a matrix, stored as [inputs, 32]. A product reads a
// panel sequentially (with AVX2 it reads the two halves one after the other). For the few rows of a
// text, reading the weights is most of the work, and strided reads take 50% longer.
//
// This file is compiled once for AVX-512 and once for AVX2, with different names for
// PANEL_MULTIPLY. It must not instantiate standard library templates: the linker might use these
// instances for callers on processors without either instruction set.

#include <cstdint>
#include <immintrin.h>

namespace {

#ifdef __AVX512F__
using Vector = __m512;
Vector zero() { return _mm512_setzero_ps(); }
Vector load(const float* from) { return _mm512_loadu_ps(from); }
Vector repeat(float number) { return _mm512_set1_ps(number); }
Vector add_product(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
void store(float* to, Vector vector) { _mm512_storeu_ps(to, vector); }
// Of the 32 registers, 28 hold sums, two hold weights, one holds an input.
constexpr int TILE = 14;
#define OF_ROWS(of) \
    of<1>, of<2>, of<3>, of<4>, of<5>, of<6>, of<7>, of<8>, of<9>, of<10>, of<11>, of<12>, \
        of<13>, of<14>
#else
using Vector = __m256;
Vector zero() { return _mm256_setzero_ps(); }
Vector load(const float* from) { return _mm256_loadu_ps(from); }
Vector repeat(float number) { return _mm256_set1_ps(number); }
Vector add_product(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
void store(float* to, Vector vector) { _mm256_storeu_ps(to, vector); }
// 12 of the 16 registers hold sums.
constexpr int TILE = 6;
#define OF_ROWS(of) of<1>, of<2>, of<3>, of<4>, of<5>, of<6>
#endif

constexpr int64_t PANEL = 32;
constexpr int64_t LANES = sizeof(Vector) / sizeof(float);
// Prefetch distance in rows of a panel.
constexpr int64_t AHEAD = 16;

// Computes 2 · LANES outputs of ROWS rows.
template <int ROWS>
void multiply(
    const float* rows, int64_t inputs, const float* panel, const float* bias, float* output,
    int64_t outputs) {
    Vector left[ROWS], right[ROWS];
#pragma GCC unroll 14
    for (int row = 0; row < ROWS; row++) {
        left[row] = bias ? load(bias) : zero();
        right[row] = bias ? load(bias + LANES) : zero();
    }
    for (int64_t input = 0; input < inputs; input++, panel += PANEL) {
        // A prefetch past the end of the panel is harmless: it cannot fault.
        for (int64_t line = 0; line < 2 * LANES; line += 16) {
            const float* ahead = panel + AHEAD * PANEL + line;
            _mm_prefetch(reinterpret_cast<const char*>(ahead), _MM_HINT_T0);
        }
        const Vector one = load(panel), other = load(panel + LANES);
#pragma GCC unroll 14
        for (int row = 0; row < ROWS; row++) {
            const Vector factor = repeat(rows[row * inputs + input]);
            left[row] = add_product(factor, one, left[row]);
            right[row] = add_product(factor, other, right[row]);
        }
    }
#pragma GCC unroll 14
    for (int row = 0; row < ROWS; row++) {
        store(output + row * outputs, left[row]);
        store(output + row * outputs + LANES, right[row]);
    }
}

using Multiply = void (*)(const float*, int64_t, const float*, const float*, float*, int64_t);
constexpr Multiply MULTIPLY[TILE] = {OF_ROWS(multiply)};

}  // namespace

// `rows` is [count, inputs], `panel` is [inputs, 32], and `bias` is [32] or null. Writes the first 32
// columns of `output`, which is [count, outputs].
extern "C" void PANEL_MULTIPLY(
    const float* rows, int64_t count, int64_t inputs, const float* panel, const float* bias,
    float* output, int64_t outputs) {
    // Balance the tiles: 16 rows are split into 8 and 8, not into 14 and 2.
    const int64_t tiles = count > TILE ? (count + TILE - 1) / TILE : 1;
    const int64_t each = (count + tiles - 1) / tiles;
    for (int64_t row = 0; row < count; row += each) {
        const int64_t left = count - row;
        const Multiply tile = MULTIPLY[(left < each ? left : each) - 1];
        for (int64_t column = 0; column < PANEL; column += 2 * LANES) {
            tile(
                rows + row * inputs, inputs, panel + column, bias ? bias + column : nullptr,
                output + row * outputs + column, outputs);
        }
    }
}
