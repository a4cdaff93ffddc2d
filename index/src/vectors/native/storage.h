// The storage of a segment's vectors while FAISS builds a graph: borrowed codes, so the graph has no
// copy of the vectors.
#pragma once

#include <faiss/Index.h>
#include <faiss/impl/DistanceComputer.h>
#include <faiss/impl/FaissAssert.h>

#include "codes.h"

namespace clipdb {

struct CodedDistances final : faiss::DistanceComputer {
    const Codes& codes;
    size_t dim;
    CodedQuery query;

    CodedDistances(const Codes& codes, size_t dim) : codes(codes), dim(dim) {}

    void set_query(const float* x) override {
        query.set(x, dim);
    }

    float operator()(faiss::idx_t i) override {
        return codes.product(query, i);
    }

    float symmetric_dis(faiss::idx_t i, faiss::idx_t j) override {
        return codes.between(i, j);
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
        uint32_t positions[4] = {uint32_t(i0), uint32_t(i1), uint32_t(i2), uint32_t(i3)};
        float four[4];
        codes.products_4(query, positions, four);
        d0 = four[0];
        d1 = four[1];
        d2 = four[2];
        d3 = four[3];
    }
};

/// Borrowed codes of `capacity` vectors, of which the first `ntotal` are in the graph.
struct CodedVectors final : faiss::Index {
    Codes codes;
    faiss::idx_t capacity;

    CodedVectors(const Codes& codes, size_t capacity, size_t linked, size_t dim)
            : faiss::Index(dim, faiss::METRIC_INNER_PRODUCT), codes(codes), capacity(capacity) {
        ntotal = linked;
    }

    /// Only counts vectors: their codes exist already.
    void add(faiss::idx_t count, const float*) override {
        FAISS_THROW_IF_NOT(ntotal + count <= capacity);
        ntotal += count;
    }

    faiss::DistanceComputer* get_distance_computer() const override {
        return new CodedDistances(codes, d);
    }

    void search(
            faiss::idx_t,
            const float*,
            faiss::idx_t,
            float*,
            faiss::idx_t*,
            const faiss::SearchParameters*) const override {
        FAISS_THROW_MSG("codes are only for building a graph");
    }

    void reset() override {
        FAISS_THROW_MSG("codes are only for building a graph");
    }
};

} // namespace clipdb
