#include "graph.h"

#include <algorithm>

namespace clipdb {

namespace {

using Link = faiss::HNSW::storage_idx_t;

/// The best on top.
struct WorseFirst {
    bool operator()(const Candidate& a, const Candidate& b) const {
        return a.score < b.score;
    }
};

/// The worst on top.
struct BetterFirst {
    bool operator()(const Candidate& a, const Candidate& b) const {
        return a.score > b.score;
    }
};

/// Positions that a walk has been at, a bit each. The memory is the thread's, and what a walk
/// sets it clears: a graph is far larger than what one walk sees of it.
class Visited {
  public:
    explicit Visited(size_t count) : of_this_thread(kept()) {
        if (of_this_thread.bits.size() < (count + 63) / 64) {
            of_this_thread.bits.resize((count + 63) / 64);
        }
    }

    Visited(const Visited&) = delete;

    ~Visited() {
        for (uint32_t position : of_this_thread.entered) {
            of_this_thread.bits[position / 64] = 0;
        }
        of_this_thread.entered.clear();
    }

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

    static Kept& kept() {
        thread_local Kept kept;
        return kept;
    }

    Kept& of_this_thread;
};

/// Positions whose codes are on their way from memory, and then their scores.
class Batch {
  public:
    Batch(const Codes& codes, const CodedQuery& query) : codes(codes), query(query) {
        positions.reserve(64);
    }

    void add(uint32_t position) {
        codes.prefetch(position);
        positions.push_back(position);
    }

    /// Gives `take` each with its score and starts anew.
    template <typename Take>
    void score(Take&& take) {
        size_t at = 0;
        for (; at + 4 <= positions.size(); at += 4) {
            float scores[4];
            codes.products_4(query, positions.data() + at, scores);
            for (size_t one = 0; one < 4; one++) {
                take(Candidate{scores[one], positions[at + one]});
            }
        }
        for (; at < positions.size(); at++) {
            take(Candidate{codes.product(query, positions[at]), positions[at]});
        }
        positions.clear();
    }

  private:
    const Codes& codes;
    const CodedQuery& query;
    std::vector<uint32_t> positions;
};

/// Gives `take` the neighbours of `position` in a layer.
template <typename Take>
void neighbours(const faiss::HNSW& graph, uint32_t position, int layer, Take&& take) {
    size_t begin, end;
    graph.neighbor_range(position, layer, &begin, &end);
    const Link* links = graph.neighbors.data();
    for (size_t at = begin; at < end && links[at] >= 0; at++) {
        take(uint32_t(links[at]));
    }
}

/// The nearest that steps to ever nearer neighbours lead to, down to the layer above the
/// lowest.
Candidate descend(const faiss::HNSW& graph, const Codes& codes, const CodedQuery& query) {
    uint32_t entry = graph.entry_point;
    Candidate nearest{codes.product(query, entry), entry};
    Batch batch(codes, query);
    for (int layer = graph.max_level; layer > 0; layer--) {
        uint32_t from;
        do {
            from = nearest.position;
            neighbours(graph, from, layer, [&](uint32_t next) { batch.add(next); });
            batch.score([&](Candidate next) {
                if (next.score > nearest.score) {
                    nearest = next;
                }
            });
        } while (nearest.position != from);
    }
    return nearest;
}

} // namespace

std::vector<Candidate> walk(
        const faiss::HNSW& graph, const Codes& codes, const CodedQuery& query, size_t ef) {
    std::vector<Candidate> kept;
    if (graph.entry_point < 0) {
        return kept;
    }
    kept.reserve(ef + 1);
    std::vector<Candidate> ahead;
    ahead.reserve(std::min<size_t>(4 * ef, 1024));
    Visited visited(graph.levels.size());
    Batch batch(codes, query);
    Candidate first = descend(graph, codes, query);
    visited.enter(first.position);
    kept.push_back(first);
    ahead.push_back(first);
    while (!ahead.empty()) {
        std::pop_heap(ahead.begin(), ahead.end(), WorseFirst());
        Candidate nearest = ahead.back();
        ahead.pop_back();
        if (kept.size() == ef && nearest.score < kept.front().score) {
            break;
        }
        neighbours(graph, nearest.position, 0, [&](uint32_t next) {
            if (visited.enter(next)) {
                batch.add(next);
            }
        });
        batch.score([&](Candidate next) {
            if (kept.size() == ef) {
                if (next.score <= kept.front().score) {
                    return;
                }
                std::pop_heap(kept.begin(), kept.end(), BetterFirst());
                kept.pop_back();
            }
            kept.push_back(next);
            std::push_heap(kept.begin(), kept.end(), BetterFirst());
            ahead.push_back(next);
            __builtin_prefetch(&graph.offsets[next.position]);
            std::push_heap(ahead.begin(), ahead.end(), WorseFirst());
        });
        // One of these is most likely next.
        for (size_t at = 0; at < std::min<size_t>(ahead.size(), 3); at++) {
            const Link* links = graph.neighbors.data() + graph.offsets[ahead[at].position];
            __builtin_prefetch(links);
            __builtin_prefetch(links + 16);
        }
    }
    return kept;
}

} // namespace clipdb
