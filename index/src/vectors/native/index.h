// The approximate index of one segment: a graph, walked by codes, or an inverted file over
// product codes; whatever it proposes is ranked by the full vectors.
#pragma once

#include <memory>

#include <faiss/Index.h>
#include <faiss/IndexHNSW.h>

#include "codes.h"

struct clipdb_index {
    std::unique_ptr<faiss::Index> index;
    const float* vectors;
    size_t dim;
    /// Of a graph.
    clipdb::Codes codes;

    /// Over vectors and codes that outlive it; an inverted file has no codes.
    clipdb_index(const float* vectors, const uint8_t* codes, size_t count, size_t dim)
            : vectors(vectors), dim(dim) {
        if (codes) {
            this->codes = clipdb::Codes(codes, count, dim);
        }
    }
};

/// What searches compared with a query.
struct clipdb_compared {
    /// By code, on a walk and in a scan.
    size_t walked;
    size_t scanned;
    /// By the full vectors.
    size_t vectors;
};

namespace clipdb {

/// Reads a graph, which was written without storage.
std::unique_ptr<faiss::IndexHNSW> read_graph(const char* path, int flags);

void check_shape(const faiss::Index& index, size_t count, size_t dim);

} // namespace clipdb
