// A walk through a graph (Malkov and Yashunin 2016) by codes.
#pragma once

#include <vector>

#include <faiss/impl/HNSW.h>

#include "candidate.h"
#include "codes.h"
#include "filter.h"

namespace clipdb {

/// Positions that a walk has been at, a bit each. The memory is the thread's, so a thread has
/// one at a time, and what a walk sets it clears: a graph is far larger than what one walk sees
/// of it.
class Visited {
  public:
    explicit Visited(size_t count);
    Visited(const Visited&) = delete;
    ~Visited();

    /// Whether it is the first time there.
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

/// A walk through the lowest layer. It keeps the best that pass a filter, walks through the
/// others, and can be widened: a wider walk continues a narrower one and compares nothing twice.
class Walk {
  public:
    Walk(const faiss::HNSW& graph,
         const Codes& codes,
         const CodedQuery& query,
         const clipdb_filter& filter);

    /// Continues until the best `ef` that it comes across are kept. False where that would
    /// compare more than `budget` codes in all; what is kept is of no use then.
    bool widen(size_t ef, size_t budget);

    /// In no order. Fewer than the walk's width where the graph leads to no more.
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
    /// A heap, the worst on top.
    std::vector<Candidate> best;
    /// A heap of what is to be expanded, the best on top.
    std::vector<Candidate> ahead;
    /// What was kept until better ones came.
    std::vector<Candidate> evicted;
    /// What was neither kept nor expanded.
    std::vector<Candidate> rejected;
    std::vector<uint32_t> batch;
};

} // namespace clipdb
