// The structures that both sides of the C interface share. `ffi.rs` declares the same fields in
// the same order.
#pragma once

#include <cstddef>
#include <cstdint>

#include "candidate.h"
#include "filter.h"

/// Vectors of a segment. They outlive the call, and the index that is made of them.
struct clipdb_vectors {
    const float* vectors;
    /// Codes and scales; null where the index has none.
    const uint8_t* codes;
    size_t count;
    size_t dim;
};

/// Called during a build, on the thread that builds, with the number of vectors done. False
/// cancels the build.
struct clipdb_progress {
    bool (*record)(void* context, size_t done);
    void* context;
};

struct clipdb_graph_build {
    clipdb_vectors vectors;
    clipdb_progress progress;
    int links;
    int ef_construction;
    /// File of a graph over the first `base_count` vectors that is to be extended, or null.
    const char* base;
    /// 0 without `base`.
    size_t base_count;
};

struct clipdb_lists_build {
    clipdb_vectors vectors;
    clipdb_progress progress;
    size_t lists;
    size_t subquantizers;
};

/// One stage of a graph traversal.
struct clipdb_stage {
    /// Candidates that the traversal keeps.
    size_t ef;
    /// How many of these candidates that are not in the list yet are ranked by full vectors.
    size_t ranked;
    /// Length of the list after the stage.
    size_t depth;
};

struct clipdb_walk_request {
    const float* query;
    /// Each wider and deeper than the one before.
    const clipdb_stage* stages;
    size_t stage_count;
    /// Codes that the traversal may compare.
    size_t budget;
    clipdb_filter filter;
};

struct clipdb_probe_request {
    const float* query;
    /// At least 1.
    size_t wanted;
    /// Candidates that full vectors rank.
    size_t ranked;
    /// Inverted lists to read.
    size_t probed;
    clipdb_filter filter;
};

/// A scan of the vectors at some positions.
struct clipdb_positions {
    const float* query;
    const uint32_t* positions;
    size_t count;
    /// At least 1.
    size_t wanted;
    /// The row of every position of the segment.
    const uint64_t* rows;
};

/// The output of a search, best first: room for all that the request wants, and how many hits
/// there are.
struct clipdb_hits {
    clipdb::Candidate* hits;
    size_t found;

    void push(const clipdb::Candidate& hit) {
        hits[found++] = hit;
    }
};

/// Numbers of comparisons with the query.
struct clipdb_compared {
    /// By codes, in traversals and in scans.
    size_t walked;
    size_t scanned;
    /// By full vectors.
    size_t vectors;
};
