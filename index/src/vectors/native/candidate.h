// A position that a search compared.
#pragma once

#include <cstdint>

namespace clipdb {

/// `Hit` in `mod.rs`.
struct Candidate {
    /// The inner product with the query, exact or by code.
    float score;
    uint32_t position;
};

/// Best first; of equal scores, the lower row.
struct IsBetter {
    /// The row of each position.
    const uint64_t* rows;

    bool operator()(const Candidate& a, const Candidate& b) const {
        if (a.score != b.score) {
            return a.score > b.score;
        }
        return rows[a.position] != rows[b.position] ? rows[a.position] < rows[b.position]
                                                    : a.position < b.position;
    }
};

} // namespace clipdb
