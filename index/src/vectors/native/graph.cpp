#include "graph.h"

#include <algorithm>
#include <cstring>

namespace clipdb {

namespace {

using Link = faiss::HNSW::storage_idx_t;

/// Orders a heap with the best candidate on top.
struct WorseFirst {
    bool operator()(const Candidate& a, const Candidate& b) const {
        return a.score < b.score;
    }
};

/// Orders a heap with the worst candidate on top.
struct BetterFirst {
    bool operator()(const Candidate& a, const Candidate& b) const {
        return a.score > b.score;
    }
};

/// Calls `take` with the neighbours of `position` in a layer.
template <typename Take>
void neighbours(const faiss::HNSW& graph, uint32_t position, int layer, Take&& take) {
    size_t begin, end;
    graph.neighbor_range(position, layer, &begin, &end);
    // In a mapped file the links begin at any byte.
    const char* links = reinterpret_cast<const char*>(graph.neighbors.data());
    for (size_t at = begin; at < end; at++) {
        Link link;
        std::memcpy(&link, links + at * sizeof(Link), sizeof(Link));
        if (link < 0) {
            return;
        }
        take(uint32_t(link));
    }
}

/// Calls `take` with each of `positions` and its score.
template <typename Take>
void score(
        const Codes& codes,
        const CodedQuery& query,
        const std::vector<uint32_t>& positions,
        Take&& take) {
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
}

/// Descends greedily to the layer above the lowest; returns the nearest candidate and adds to
/// `compared`.
Candidate descend(
        const faiss::HNSW& graph, const Codes& codes, const CodedQuery& query, size_t& compared) {
    uint32_t entry = graph.entry_point;
    Candidate nearest{codes.product(query, entry), entry};
    std::vector<uint32_t> batch;
    for (int layer = graph.max_level; layer > 0; layer--) {
        uint32_t from;
        do {
            from = nearest.position;
            batch.clear();
            neighbours(graph, from, layer, [&](uint32_t next) {
                codes.prefetch(next);
                batch.push_back(next);
            });
            compared += batch.size();
            score(codes, query, batch, [&](Candidate next) {
                if (next.score > nearest.score) {
                    nearest = next;
                }
            });
        } while (nearest.position != from);
    }
    return nearest;
}

} // namespace

Visited::Visited(size_t count) : of_this_thread(kept()) {
    if (of_this_thread.bits.size() < (count + 63) / 64) {
        of_this_thread.bits.resize((count + 63) / 64);
    }
}

Visited::~Visited() {
    for (uint32_t position : of_this_thread.entered) {
        of_this_thread.bits[position / 64] = 0;
    }
    of_this_thread.entered.clear();
}

Visited::Kept& Visited::kept() {
    thread_local Kept kept;
    return kept;
}

Walk::Walk(
        const faiss::HNSW& graph,
        const Codes& codes,
        const CodedQuery& query,
        const clipdb_filter& filter)
        : graph(graph), codes(codes), query(query), filter(filter), visited(graph.levels.size()) {
    if (graph.entry_point < 0) {
        return;
    }
    Candidate first = descend(graph, codes, query, scored);
    visited.enter(first.position);
    rejected.push_back(first);
}

void Walk::keep(Candidate next) {
    if (best.size() == width) {
        std::pop_heap(best.begin(), best.end(), BetterFirst());
        evicted.push_back(best.back());
        best.pop_back();
    }
    best.push_back(next);
    std::push_heap(best.begin(), best.end(), BetterFirst());
}

void Walk::admit(Candidate next) {
    if (best.size() == width && next.score <= best.front().score) {
        rejected.push_back(next);
        return;
    }
    if (passes(filter, next.position)) {
        keep(next);
    }
    ahead.push_back(next);
    __builtin_prefetch(&graph.offsets[next.position]);
    std::push_heap(ahead.begin(), ahead.end(), WorseFirst());
}

bool Walk::widen(size_t ef, size_t budget) {
    width = ef;
    best.reserve(ef + 1);
    // Candidates that the narrower traversal dropped may be among the best of the wider one.
    std::vector<Candidate> aside;
    aside.swap(evicted);
    std::sort(aside.begin(), aside.end(), BetterFirst());
    for (Candidate next : aside) {
        if (best.size() == width && next.score <= best.front().score) {
            evicted.push_back(next);
        } else {
            keep(next);
        }
    }
    aside.clear();
    aside.swap(rejected);
    std::sort(aside.begin(), aside.end(), BetterFirst());
    for (Candidate next : aside) {
        admit(next);
    }
    while (!ahead.empty()) {
        Candidate nearest = ahead.front();
        if (best.size() == width && nearest.score < best.front().score) {
            break;
        }
        std::pop_heap(ahead.begin(), ahead.end(), WorseFirst());
        ahead.pop_back();
        batch.clear();
        neighbours(graph, nearest.position, 0, [&](uint32_t next) {
            if (visited.enter(next)) {
                codes.prefetch(next);
                if (filter.contains) {
                    __builtin_prefetch(filter.rows + next);
                }
                batch.push_back(next);
            }
        });
        scored += batch.size();
        if (scored > budget) {
            return false;
        }
        score(codes, query, batch, [&](Candidate next) { admit(next); });
        // One of these is most likely expanded next.
        for (size_t at = 0; at < std::min<size_t>(ahead.size(), 3); at++) {
            const char* links = reinterpret_cast<const char*>(graph.neighbors.data()) +
                    graph.offsets[ahead[at].position] * sizeof(Link);
            __builtin_prefetch(links);
            __builtin_prefetch(links + 64);
        }
    }
    return true;
}

} // namespace clipdb
