// The approximate index of one segment: a graph that is traversed by codes, or an inverted file
// over product codes. Full vectors rank the candidates of both.
#pragma once

#include <memory>

#include <faiss/Index.h>
#include <faiss/IndexHNSW.h>

#include "codes.h"
#include "interface.h"

struct clipdb_index {
    std::unique_ptr<faiss::Index> index;
    const float* vectors;
    size_t dim;
    /// The codes of a graph's vectors.
    clipdb::Codes codes;

    /// Borrows vectors and codes.
    explicit clipdb_index(const clipdb_vectors& borrowed)
            : vectors(borrowed.vectors), dim(borrowed.dim) {
        if (borrowed.codes) {
            codes = clipdb::Codes(borrowed.codes, borrowed.count, dim);
        }
    }
};

namespace clipdb {

/// Reads a graph that was written without its storage.
std::unique_ptr<faiss::IndexHNSW> read_graph(const char* path, int flags);

void check_shape(const faiss::Index& index, size_t count, size_t dim);

} // namespace clipdb
