// Inner products with the widest instructions of the processor the program runs on, where
// FAISS has only those it was compiled for.
#pragma once

#include <cstddef>

namespace clipdb {

float inner_product(const float* x, const float* y, size_t dim);

/// `x` against four vectors at once, which reads `x` once.
void inner_product_4(
        const float* x,
        const float* y0,
        const float* y1,
        const float* y2,
        const float* y3,
        size_t dim,
        float out[4]);

} // namespace clipdb
