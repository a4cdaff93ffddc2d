#include "inner_product.h"

#include "instructions.h"

#include <immintrin.h>

#include <faiss/utils/distances.h>

namespace clipdb {

namespace {

#define WIDE __attribute__((target("avx512f")))

WIDE void wide_4(
        const float* x,
        const float* y0,
        const float* y1,
        const float* y2,
        const float* y3,
        size_t dim,
        float out[4]) {
    __m512 sum0 = _mm512_setzero_ps(), sum1 = sum0, sum2 = sum0, sum3 = sum0;
    for (size_t at = 0; at < dim; at += 16) {
        size_t left = dim - at;
        __mmask16 lanes = left >= 16 ? 0xffff : (1u << left) - 1;
        __m512 query = _mm512_maskz_loadu_ps(lanes, x + at);
        sum0 = _mm512_fmadd_ps(query, _mm512_maskz_loadu_ps(lanes, y0 + at), sum0);
        sum1 = _mm512_fmadd_ps(query, _mm512_maskz_loadu_ps(lanes, y1 + at), sum1);
        sum2 = _mm512_fmadd_ps(query, _mm512_maskz_loadu_ps(lanes, y2 + at), sum2);
        sum3 = _mm512_fmadd_ps(query, _mm512_maskz_loadu_ps(lanes, y3 + at), sum3);
    }
    out[0] = _mm512_reduce_add_ps(sum0);
    out[1] = _mm512_reduce_add_ps(sum1);
    out[2] = _mm512_reduce_add_ps(sum2);
    out[3] = _mm512_reduce_add_ps(sum3);
}

const bool has_wide = __builtin_cpu_supports("avx512f") && may_use_avx512();

} // namespace

void inner_product_4(
        const float* x,
        const float* y0,
        const float* y1,
        const float* y2,
        const float* y3,
        size_t dim,
        float out[4]) {
    if (has_wide) {
        wide_4(x, y0, y1, y2, y3, dim, out);
    } else {
        faiss::fvec_inner_product_batch_4(
                x, y0, y1, y2, y3, dim, out[0], out[1], out[2], out[3]);
    }
}

} // namespace clipdb
