// A walk through a graph (Malkov and Yashunin 2016) by codes.
#pragma once

#include <vector>

#include <faiss/impl/HNSW.h>

#include "codes.h"

namespace clipdb {

struct Candidate {
    /// About the inner product with the query.
    float score;
    uint32_t position;
};

/// Up to `ef` positions near the query, in no order: the best that a walk which keeps so
/// many comes across.
std::vector<Candidate> walk(
        const faiss::HNSW& graph, const Codes& codes, const CodedQuery& query, size_t ef);

} // namespace clipdb
