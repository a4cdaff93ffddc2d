// Rows times a panel: 32 outputs of a matrix as [inputs, 32], so that what a product reads of it
// lies in one piece, in the order it is read (AVX2 reads its halves one after the other). With
// the few rows of a text reading the weights is most of the work, and strided reads take half as
// long again.
//
// Compiled once for AVX-512 and once for AVX2, each with a name of its own for PANEL_MULTIPLY.
// Nothing of the standard library is instantiated here: the linker might give it to callers on
// processors without either.

#include <cstdint>
#include <immintrin.h>

namespace {

#ifdef __AVX512F__
using Numbers = __m512;
Numbers zero() { return _mm512_setzero_ps(); }
Numbers load(const float* from) { return _mm512_loadu_ps(from); }
Numbers repeat(float number) { return _mm512_set1_ps(number); }
Numbers add_product(Numbers a, Numbers b, Numbers c) { return _mm512_fmadd_ps(a, b, c); }
void store(float* to, Numbers numbers) { _mm512_storeu_ps(to, numbers); }
// 28 of the 32 registers hold sums, two weights, one an input.
constexpr int TILE = 14;
#define OF_ROWS(of) \
    of<1>, of<2>, of<3>, of<4>, of<5>, of<6>, of<7>, of<8>, of<9>, of<10>, of<11>, of<12>, \
        of<13>, of<14>
#else
using Numbers = __m256;
Numbers zero() { return _mm256_setzero_ps(); }
Numbers load(const float* from) { return _mm256_loadu_ps(from); }
Numbers repeat(float number) { return _mm256_set1_ps(number); }
Numbers add_product(Numbers a, Numbers b, Numbers c) { return _mm256_fmadd_ps(a, b, c); }
void store(float* to, Numbers numbers) { _mm256_storeu_ps(to, numbers); }
// 12 of 16.
constexpr int TILE = 6;
#define OF_ROWS(of) of<1>, of<2>, of<3>, of<4>, of<5>, of<6>
#endif

constexpr int64_t PANEL = 32;
constexpr int64_t LANES = sizeof(Numbers) / sizeof(float);
// How many rows of a panel ahead of their use are fetched.
constexpr int64_t AHEAD = 16;

// 2 · LANES outputs of ROWS rows.
template <int ROWS>
void multiply(
    const float* rows, int64_t inputs, const float* panel, const float* bias, float* output,
    int64_t outputs) {
    Numbers left[ROWS], right[ROWS];
#pragma GCC unroll 14
    for (int row = 0; row < ROWS; row++) {
        left[row] = bias ? load(bias) : zero();
        right[row] = bias ? load(bias + LANES) : zero();
    }
    for (int64_t input = 0; input < inputs; input++, panel += PANEL) {
        // Beyond its end nothing is read: a fetch of no page is no fault.
        for (int64_t line = 0; line < 2 * LANES; line += 16) {
            const float* ahead = panel + AHEAD * PANEL + line;
            _mm_prefetch(reinterpret_cast<const char*>(ahead), _MM_HINT_T0);
        }
        const Numbers one = load(panel), other = load(panel + LANES);
#pragma GCC unroll 14
        for (int row = 0; row < ROWS; row++) {
            const Numbers factor = repeat(rows[row * inputs + input]);
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

// `rows` is [count, inputs], `panel` [inputs, 32], `bias` [32] or null; the answer the first 32
// columns of `output`, which is [count, outputs].
extern "C" void PANEL_MULTIPLY(
    const float* rows, int64_t count, int64_t inputs, const float* panel, const float* bias,
    float* output, int64_t outputs) {
    // Tiles are as equal as can be: 16 rows are twice 8, not 14 and 2.
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
