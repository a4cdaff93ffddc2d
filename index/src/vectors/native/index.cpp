#include "index.h"

#include <algorithm>

#include <faiss/IndexIVF.h>
#include <faiss/impl/FaissAssert.h>
#include <faiss/index_io.h>

#include "call.h"
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
            "the file holds the index of other vectors");
}

} // namespace clipdb

namespace {

using clipdb::Candidate;
using clipdb::IsBetter;

/// Moves the best `count` to the front, unordered.
void best_to_front(Candidate* from, Candidate* to, size_t count, const IsBetter& is_better) {
    if (count < size_t(to - from)) {
        std::nth_element(from, from + count, to, is_better);
    }
}

/// Replaces the score of each candidate by its inner product with the full vector.
void score(const clipdb_index& index, const float* query, Candidate* candidates, size_t count) {
    auto vector = [&](size_t at) {
        return index.vectors + candidates[at].position * index.dim;
    };
    // In the order in memory, for the prefetcher.
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

/// The candidates that are not among the hits.
std::vector<Candidate> without(
        const std::vector<Candidate>& candidates, const clipdb_hits& hits) {
    std::vector<uint32_t> listed;
    listed.reserve(hits.found);
    for (size_t at = 0; at < hits.found; at++) {
        listed.push_back(hits.hits[at].position);
    }
    std::sort(listed.begin(), listed.end());
    std::vector<Candidate> others;
    others.reserve(candidates.size());
    for (const Candidate& one : candidates) {
        if (!std::binary_search(listed.begin(), listed.end(), one.position)) {
            others.push_back(one);
        }
    }
    return others;
}

/// The best candidates in the probed lists that the filter accepts. `share` becomes the part of
/// the compared vectors that it accepts.
std::vector<Candidate> probe_lists(
        const faiss::Index& index, const clipdb_probe_request& request, float* share) {
    size_t wanted = std::max(request.ranked, request.wanted);
    clipdb::Selector selector(request.filter);
    faiss::SearchParametersIVF parameters;
    parameters.sel = selector.passes_all() ? nullptr : &selector;
    parameters.nprobe = request.probed;
    std::vector<float> scores(wanted);
    std::vector<faiss::idx_t> positions(wanted, -1);
    index.search(1, request.query, wanted, scores.data(), positions.data(), &parameters);
    std::vector<Candidate> found;
    for (size_t at = 0; at < wanted && positions[at] >= 0; at++) {
        found.push_back({scores[at], uint32_t(positions[at])});
    }
    *share = selector.asked ? float(selector.passed) / selector.asked : 1.0f;
    return found;
}

} // namespace

extern "C" {

/// Writes everything except vectors and codes.
int clipdb_write(const clipdb_index* index, const char* path, char* message) {
    return clipdb::call(message, [&] {
        faiss::write_index(index->index.get(), path, faiss::IO_FLAG_SKIP_STORAGE);
    });
}

/// Maps the file that clipdb_write wrote; a graph needs its codes. The caller has verified the
/// file's checksum: FAISS trusts its input.
int clipdb_open(
        const char* path, const clipdb_vectors* vectors, clipdb_index** out, char* message) {
    return clipdb::call(message, [&] {
        auto index = std::make_unique<clipdb_index>(*vectors);
        if (vectors->codes) {
            index->index = clipdb::read_graph(path, faiss::IO_FLAG_MMAP_IFC);
        } else {
            index->index.reset(faiss::read_index(path, faiss::IO_FLAG_MMAP_IFC));
        }
        clipdb::check_shape(*index->index, vectors->count, vectors->dim);
        *out = index.release();
    });
}

/// The list of hits of a graph traversal, which each stage extends. Each stage takes the best of
/// a traversal that is wider than the one before, so the list for fewer stages is a prefix of the
/// list for more. Ends early where the graph leads to no more, and before a stage for which the
/// traversal would compare more codes than the budget in all.
int clipdb_walk(
        const clipdb_index* index,
        const clipdb_walk_request* request,
        clipdb_hits* out,
        clipdb_compared* compared,
        char* message) {
    return clipdb::call(message, [&] {
        auto* graph = dynamic_cast<const faiss::IndexHNSW*>(index->index.get());
        FAISS_THROW_IF_NOT_MSG(graph, "only a graph can be traversed");
        clipdb::CodedQuery coded;
        coded.set(request->query, index->dim);
        clipdb::Walk walk(graph->hnsw, index->codes, coded, request->filter);
        IsBetter is_better{request->filter.rows};
        for (size_t at = 0; at < request->stage_count; at++) {
            const clipdb_stage& stage = request->stages[at];
            if (!walk.widen(stage.ef, request->budget)) {
                break;
            }
            std::vector<Candidate> candidates = without(walk.kept(), *out);
            size_t ranked = std::min(stage.ranked, candidates.size());
            Candidate* first = candidates.data();
            best_to_front(first, first + candidates.size(), ranked, is_better);
            score(*index, request->query, first, ranked);
            compared->vectors += ranked;
            std::sort(first, first + ranked, is_better);
            for (size_t one = 0; one < ranked && out->found < stage.depth; one++) {
                out->push(first[one]);
            }
            if (out->found < stage.depth) {
                break;
            }
        }
        compared->walked += walk.compared();
    });
}

/// The best positions by full vectors, of the best candidates by product codes in the probed
/// lists; fewer where the lists hold fewer.
int clipdb_probe(
        const clipdb_index* index,
        const clipdb_probe_request* request,
        clipdb_hits* out,
        float* share,
        clipdb_compared* compared,
        char* message) {
    return clipdb::call(message, [&] {
        std::vector<Candidate> candidates = probe_lists(*index->index, *request, share);
        size_t count = candidates.size();
        score(*index, request->query, candidates.data(), count);
        compared->vectors += count;
        std::sort(candidates.begin(), candidates.end(), IsBetter{request->filter.rows});
        for (size_t at = 0; at < std::min(request->wanted, count); at++) {
            out->push(candidates[at]);
        }
    });
}

/// The vectors at some positions, best first: codes propose candidates and full vectors rank
/// them. The steps do not depend on `wanted`, so the list for a smaller `wanted` is a prefix of
/// the list for a larger one.
int clipdb_scan_codes(
        const clipdb_index* index,
        const clipdb_positions* scan,
        clipdb_hits* out,
        clipdb_compared* compared,
        char* message) {
    return clipdb::call(message, [&] {
        size_t count = scan->count;
        clipdb::CodedQuery coded;
        coded.set(scan->query, index->dim);
        std::vector<float> by_code(count);
        index->codes.products(coded, scan->positions, count, by_code.data());
        compared->scanned += count;
        std::vector<Candidate> candidates(count);
        for (size_t at = 0; at < count; at++) {
            candidates[at] = {by_code[at], scan->positions[at]};
        }
        IsBetter is_better{scan->rows};
        // Candidates before `out->found` are listed; those before `drawn` have their exact score.
        size_t drawn = 0;
        for (size_t depth = 16; out->found < std::min(scan->wanted, count); depth *= 4) {
            size_t draw = std::min(count, depth + std::max<size_t>(depth / 4, 32));
            best_to_front(
                    candidates.data() + drawn, candidates.data() + count, draw - drawn, is_better);
            score(*index, scan->query, candidates.data() + drawn, draw - drawn);
            compared->vectors += draw - drawn;
            drawn = draw;
            std::sort(candidates.data() + out->found, candidates.data() + drawn, is_better);
            while (out->found < std::min({depth, scan->wanted, drawn})) {
                out->push(candidates[out->found]);
            }
        }
    });
}

void clipdb_free(clipdb_index* index) noexcept {
    delete index;
}

} // extern "C"
