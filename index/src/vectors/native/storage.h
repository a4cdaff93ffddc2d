// The full vectors of a segment as FAISS sees them: borrowed from a mapped file, so that a
// graph over them holds no copy.
#pragma once

#include <faiss/IndexFlat.h>
#include <faiss/impl/DistanceComputer.h>

#include "inner_product.h"

namespace clipdb {

struct BorrowedDistances final : faiss::FlatCodesDistanceComputer {
    const float* vectors;
    size_t dim;
    const float* q = nullptr;

    BorrowedDistances(const float* vectors, size_t dim)
            : faiss::FlatCodesDistanceComputer(
                      reinterpret_cast<const uint8_t*>(vectors), dim * sizeof(float)),
              vectors(vectors),
              dim(dim) {}

    void set_query(const float* x) override {
        q = x;
    }

    float distance_to_code(const uint8_t* code) override {
        return inner_product(q, reinterpret_cast<const float*>(code), dim);
    }

    float symmetric_dis(faiss::idx_t i, faiss::idx_t j) override {
        return inner_product(vectors + i * dim, vectors + j * dim, dim);
    }

    void distances_batch_4(
            const faiss::idx_t i0,
            const faiss::idx_t i1,
            const faiss::idx_t i2,
            const faiss::idx_t i3,
            float& d0,
            float& d1,
            float& d2,
            float& d3) override {
        float four[4];
        inner_product_4(
                q,
                vectors + i0 * dim,
                vectors + i1 * dim,
                vectors + i2 * dim,
                vectors + i3 * dim,
                dim,
                four);
        d0 = four[0];
        d1 = four[1];
        d2 = four[2];
        d3 = four[3];
    }
};

/// `capacity` vectors that outlive this, of which the first `ntotal` are indexed.
struct BorrowedVectors final : faiss::IndexFlatIP {
    const float* vectors;
    size_t capacity;

    BorrowedVectors(const float* vectors, size_t capacity, size_t indexed, size_t dim)
            : faiss::IndexFlatIP(dim), vectors(vectors), capacity(capacity) {
        ntotal = indexed;
    }

    /// Counts what already lies there.
    void add(faiss::idx_t count, const float* x) override {
        FAISS_THROW_IF_NOT(x == vectors + ntotal * d);
        FAISS_THROW_IF_NOT(ntotal + count <= static_cast<faiss::idx_t>(capacity));
        ntotal += count;
    }

    faiss::FlatCodesDistanceComputer* get_FlatCodesDistanceComputer() const override {
        return new BorrowedDistances(vectors, d);
    }
};

} // namespace clipdb
