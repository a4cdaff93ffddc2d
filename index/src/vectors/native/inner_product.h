// Inner products with the widest instructions of the processor the program runs on, where
// FAISS has only those it was compiled for.
#pragma once

#include <cstddef>

namespace clipdb {

/// `x` against four vectors at once, which reads `x` once. Equal vectors have equal products,
/// whichever of the four they are.
void inner_product_4(
        const float* x,
        const float* y0,
        const float* y1,
        const float* y2,
        const float* y3,
        size_t dim,
        float out[4]);

/// `x` against one vector, with the same result as among four.
inline float inner_product(const float* x, const float* y, size_t dim) {
    float four[4];
    inner_product_4(x, y, y, y, y, dim, four);
    return four[0];
}

} // namespace clipdb
