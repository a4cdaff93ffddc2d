#include "index.h"

#include <algorithm>

#include <faiss/IndexIVF.h>
#include <faiss/impl/FaissAssert.h>
#include <faiss/index_io.h>

#include "call.h"
#include "filter.h"
#include "graph.h"
#include "inner_product.h"

namespace clipdb {

std::unique_ptr<faiss::IndexHNSW> read_graph(const char* path, int flags) {
    std::unique_ptr<faiss::Index> read(faiss::read_index(path, flags));
    auto* graph = dynamic_cast<faiss::IndexHNSW*>(read.get());
    FAISS_THROW_IF_NOT_MSG(graph, "the file holds another kind of index");
    read.release();
    return std::unique_ptr<faiss::IndexHNSW>(graph);
}

void check_shape(const faiss::Index& index, size_t count, size_t dim) {
    FAISS_THROW_IF_NOT_MSG(
            index.d == static_cast<int>(dim) &&
                    index.ntotal == static_cast<faiss::idx_t>(count),
            "the file holds an index of other vectors");
}

} // namespace clipdb

namespace {

using clipdb::Candidate;
using clipdb::IsBetter;

/// Moves the best `count` to the front, in no order.
void best_to_front(Candidate* from, Candidate* to, size_t count, const IsBetter& is_better) {
    if (count < size_t(to - from)) {
        std::nth_element(from, from + count, to, is_better);
    }
}

/// Gives each candidate its true score.
void score(const clipdb_index& index, const float* query, Candidate* candidates, size_t count) {
    auto vector = [&](size_t at) {
        return index.vectors + candidates[at].position * index.dim;
    };
    // In the order in which they lie, for what reads ahead.
    std::sort(candidates, candidates + count, [](const Candidate& a, const Candidate& b) {
        return a.position < b.position;
    });
    size_t at = 0;
    for (; at + 4 <= count; at += 4) {
        for (size_t next = at + 4; next < std::min(at + 8, count); next++) {
            for (size_t number = 0; number < std::min<size_t>(index.dim, 128); number += 16) {
                __builtin_prefetch(vector(next) + number);
            }
        }
        float scores[4];
        clipdb::inner_product_4(
                query,
                vector(at),
                vector(at + 1),
                vector(at + 2),
                vector(at + 3),
                index.dim,
                scores);
        for (size_t one = 0; one < 4; one++) {
            candidates[at + one].score = scores[one];
        }
    }
    for (; at < count; at++) {
        candidates[at].score = clipdb::inner_product(query, vector(at), index.dim);
    }
}

/// The list of positions that a search returns.
class List {
  public:
    List(int64_t* positions, float* scores, size_t* found)
            : positions(positions), scores(scores), found(found) {
        *found = 0;
    }

    void push(const Candidate& one) {
        positions[*found] = one.position;
        scores[*found] = one.score;
        (*found)++;
    }

    size_t length() const {
        return *found;
    }

    /// What of `candidates` is not in the list yet.
    std::vector<Candidate> others(const std::vector<Candidate>& candidates) const {
        std::vector<int64_t> held(positions, positions + *found);
        std::sort(held.begin(), held.end());
        std::vector<Candidate> others;
        others.reserve(candidates.size());
        for (const Candidate& one : candidates) {
            if (!std::binary_search(held.begin(), held.end(), int64_t(one.position))) {
                others.push_back(one);
            }
        }
        return others;
    }

  private:
    int64_t* positions;
    float* scores;
    size_t* found;
};

/// The best that `nprobe` lists hold and may be answered.
std::vector<Candidate> ask_lists(
        const faiss::Index& index,
        const float* query,
        size_t wanted,
        size_t nprobe,
        const clipdb_filter& filter,
        float* share) {
    clipdb::Selector selector(filter);
    faiss::SearchParametersIVF parameters;
    parameters.sel = selector.passes_all() ? nullptr : &selector;
    parameters.nprobe = nprobe;
    std::vector<float> scores(wanted);
    std::vector<faiss::idx_t> positions(wanted, -1);
    index.search(1, query, wanted, scores.data(), positions.data(), &parameters);
    std::vector<Candidate> found;
    for (size_t at = 0; at < wanted && positions[at] >= 0; at++) {
        found.push_back({scores[at], uint32_t(positions[at])});
    }
    *share = selector.asked ? float(selector.passed) / selector.asked : 1.0f;
    return found;
}

} // namespace

extern "C" {

/// Writes all but borrowed vectors and codes.
int clipdb_write(const clipdb_index* index, const char* path, char* message) {
    return clipdb::call(message, [&] {
        faiss::write_index(index->index.get(), path, faiss::IO_FLAG_SKIP_STORAGE);
    });
}

/// Maps what clipdb_write wrote, over `count` vectors and, of a graph, their codes, which all
/// outlive it. The caller has verified the file's checksum: FAISS trusts what it reads.
int clipdb_open(
        const char* path,
        const float* vectors,
        const uint8_t* codes,
        size_t count,
        size_t dim,
        clipdb_index** out,
        char* message) {
    return clipdb::call(message, [&] {
        auto index = std::make_unique<clipdb_index>(vectors, codes, count, dim);
        if (codes) {
            index->index = clipdb::read_graph(path, faiss::IO_FLAG_MMAP_IFC);
        } else {
            index->index.reset(faiss::read_index(path, faiss::IO_FLAG_MMAP_IFC));
        }
        clipdb::check_shape(*index->index, count, dim);
        *out = index.release();
    });
}

/// Part of the list that a walk makes.
struct clipdb_stretch {
    /// What the walk keeps.
    size_t ef;
    /// Of that, what is not in the list yet, the best by codes so many are ranked by the full
    /// vectors.
    size_t ranked;
    /// How long the list then is.
    size_t depth;
};

/// The list of what a walk through a graph comes across and the filter lets pass: stretch after
/// stretch, each the best of a walk wider than the one before, so that it begins alike however
/// many stretches are asked for. Ends early where the graph leads to no more, and before the
/// stretch for which the walk would compare more than `budget` codes in all. The outputs have
/// room for the last stretch's depth.
int clipdb_walk(
        const clipdb_index* index,
        const float* query,
        const clipdb_stretch* stretches,
        size_t count,
        size_t budget,
        const clipdb_filter* filter,
        int64_t* positions,
        float* scores,
        size_t* found,
        clipdb_compared* compared,
        char* message) {
    return clipdb::call(message, [&] {
        auto* graph = dynamic_cast<const faiss::IndexHNSW*>(index->index.get());
        FAISS_THROW_IF_NOT_MSG(graph, "only a graph is walked");
        clipdb::CodedQuery coded;
        coded.set(query, index->dim);
        clipdb::Walk walk(graph->hnsw, index->codes, coded, *filter);
        IsBetter is_better{filter->rows};
        List list(positions, scores, found);
        for (size_t at = 0; at < count; at++) {
            const clipdb_stretch& stretch = stretches[at];
            if (!walk.widen(stretch.ef, budget)) {
                break;
            }
            std::vector<Candidate> candidates = list.others(walk.kept());
            size_t ranked = std::min(stretch.ranked, candidates.size());
            Candidate* first = candidates.data();
            best_to_front(first, first + candidates.size(), ranked, is_better);
            score(*index, query, first, ranked);
            compared->vectors += ranked;
            std::sort(first, first + ranked, is_better);
            for (size_t one = 0; one < ranked && list.length() < stretch.depth; one++) {
                list.push(first[one]);
            }
            if (list.length() < stretch.depth) {
                break;
            }
        }
        compared->walked += walk.compared();
    });
}

/// The best `wanted` positions by full vectors, of the `ranked` best that the product codes of
/// `nprobe` lists propose; fewer where fewer were come across. `share` becomes the part of the
/// vectors come across that may be answered.
int clipdb_probe(
        const clipdb_index* index,
        const float* query,
        size_t wanted,
        size_t ranked,
        size_t nprobe,
        const clipdb_filter* filter,
        int64_t* positions,
        float* scores,
        size_t* found,
        float* share,
        clipdb_compared* compared,
        char* message) {
    return clipdb::call(message, [&] {
        std::vector<Candidate> candidates = ask_lists(
                *index->index, query, std::max(ranked, wanted), nprobe, *filter, share);
        size_t count = candidates.size();
        score(*index, query, candidates.data(), count);
        compared->vectors += count;
        std::sort(candidates.begin(), candidates.end(), IsBetter{filter->rows});
        List list(positions, scores, found);
        for (size_t at = 0; at < std::min(wanted, count); at++) {
            list.push(candidates[at]);
        }
    });
}

/// The vectors at `scanned` in the order of their scores, up to `wanted`: codes choose what the
/// full vectors rank. Chosen in steps that do not depend on `wanted`, so that the list begins
/// alike whatever is wanted of it.
int clipdb_scan_codes(
        const clipdb_index* index,
        const float* query,
        const uint32_t* scanned,
        size_t count,
        size_t wanted,
        const uint64_t* rows,
        int64_t* positions,
        float* scores,
        size_t* found,
        clipdb_compared* compared,
        char* message) {
    return clipdb::call(message, [&] {
        clipdb::CodedQuery coded;
        coded.set(query, index->dim);
        std::vector<float> by_code(count);
        index->codes.products(coded, scanned, count, by_code.data());
        compared->scanned += count;
        std::vector<Candidate> candidates(count);
        for (size_t at = 0; at < count; at++) {
            candidates[at] = {by_code[at], scanned[at]};
        }
        IsBetter is_better{rows};
        List list(positions, scores, found);
        // Before `listed` is the list, from there to `drawn` what has its true score.
        size_t listed = 0, drawn = 0;
        for (size_t depth = 16; listed < std::min(wanted, count); depth *= 4) {
            size_t draw = std::min(count, depth + std::max<size_t>(depth / 4, 32));
            best_to_front(
                    candidates.data() + drawn, candidates.data() + count, draw - drawn, is_better);
            score(*index, query, candidates.data() + drawn, draw - drawn);
            compared->vectors += draw - drawn;
            drawn = draw;
            std::sort(candidates.data() + listed, candidates.data() + drawn, is_better);
            for (; listed < std::min({depth, wanted, drawn}); listed++) {
                list.push(candidates[listed]);
            }
        }
    });
}

void clipdb_free(clipdb_index* index) noexcept {
    delete index;
}

} // extern "C"
