// Inner products with the widest instructions of the current processor. FAISS has only those that it
// was compiled for.
#pragma once

#include <cstddef>

namespace clipdb {

/// The products of `x` and four vectors; reads `x` once. The product does not depend on which of the
/// four a vector is.
void inner_product_4(
        const float* x,
        const float* y0,
        const float* y1,
        const float* y2,
        const float* y3,
        size_t dim,
        float out[4]);

/// The product of `x` and one vector, with the same result as for four.
inline float inner_product(const float* x, const float* y, size_t dim) {
    float four[4];
    inner_product_4(x, y, y, y, y, dim, four);
    return four[0];
}

} // namespace clipdb
