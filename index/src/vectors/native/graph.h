// Traversal of an HNSW graph (Malkov and Yashunin 2016) by codes.
#pragma once

#include <vector>

#include <faiss/impl/HNSW.h>

#include "candidate.h"
#include "codes.h"
#include "filter.h"

namespace clipdb {

/// The visited positions of a traversal, one bit each. The memory belongs to the thread, so a thread
/// can have one at a time. A traversal clears only the bits that it set, since it visits a small part
/// of the graph.
class Visited {
  public:
    explicit Visited(size_t count);
    Visited(const Visited&) = delete;
    ~Visited();

    /// Marks a position; returns whether it was unvisited.
    bool enter(uint32_t position) {
        uint64_t& word = of_this_thread.bits[position / 64];
        uint64_t bit = uint64_t(1) << (position % 64);
        if (word & bit) {
            return false;
        }
        of_this_thread.entered.push_back(position);
        word |= bit;
        return true;
    }

  private:
    struct Kept {
        std::vector<uint64_t> bits;
        std::vector<uint32_t> entered;
    };

    static Kept& kept();

    Kept& of_this_thread;
};

/// A traversal of the lowest layer. It keeps the best candidates that the filter accepts and passes
/// through the others. It can be widened: the wider traversal continues the narrower one and compares
/// nothing twice.
class Walk {
  public:
    Walk(const faiss::HNSW& graph,
         const Codes& codes,
         const CodedQuery& query,
         const clipdb_filter& filter);

    /// Continues until the best `ef` accepted candidates are kept. Returns false if that would
    /// compare more than `budget` codes in all; the kept candidates are then incomplete.
    bool widen(size_t ef, size_t budget);

    /// The kept candidates, unordered. Fewer than `ef` where the graph leads to no more.
    const std::vector<Candidate>& kept() const {
        return best;
    }

    size_t compared() const {
        return scored;
    }

  private:
    void admit(Candidate next);
    void keep(Candidate next);
    void score_batch();

    const faiss::HNSW& graph;
    const Codes& codes;
    const CodedQuery& query;
    const clipdb_filter& filter;
    Visited visited;
    size_t width = 0;
    size_t scored = 0;
    /// A heap with the worst candidate on top.
    std::vector<Candidate> best;
    /// A heap of candidates to expand, the best on top.
    std::vector<Candidate> ahead;
    /// Candidates that better ones replaced.
    std::vector<Candidate> evicted;
    /// Candidates that were neither kept nor expanded.
    std::vector<Candidate> rejected;
    std::vector<uint32_t> batch;
};

} // namespace clipdb
