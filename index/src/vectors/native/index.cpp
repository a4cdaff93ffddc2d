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

bool is_better(const Candidate& a, const Candidate& b) {
    return a.score > b.score || (a.score == b.score && a.position < b.position);
}

void keep_best(std::vector<Candidate>& candidates, size_t count) {
    if (candidates.size() > count) {
        std::nth_element(
                candidates.begin(), candidates.begin() + count, candidates.end(), is_better);
        candidates.resize(count);
    }
}

/// Gives each candidate its true score.
void score(const clipdb_index& index, const float* query, std::vector<Candidate>& candidates) {
    auto vector = [&](size_t at) {
        return index.vectors + candidates[at].position * index.dim;
    };
    // In the order in which they lie, for what reads ahead.
    std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
        return a.position < b.position;
    });
    size_t at = 0;
    for (; at + 4 <= candidates.size(); at += 4) {
        for (size_t next = at + 4; next < std::min(at + 8, candidates.size()); next++) {
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
    for (; at < candidates.size(); at++) {
        candidates[at].score = clipdb::inner_product(query, vector(at), index.dim);
    }
}

/// What a walk comes across and may be answered; `share` is the part that may.
std::vector<Candidate> ask_graph(
        const clipdb_index& index,
        const faiss::HNSW& graph,
        const float* query,
        size_t ef,
        const clipdb_filter& filter,
        float* share) {
    clipdb::CodedQuery coded;
    coded.set(query, index.dim);
    std::vector<Candidate> found = clipdb::walk(graph, index.codes, coded, ef);
    size_t all = found.size();
    found.erase(
            std::remove_if(
                    found.begin(),
                    found.end(),
                    [&](const Candidate& one) { return !clipdb::passes(filter, one.position); }),
            found.end());
    *share = all ? float(found.size()) / all : 1.0f;
    return found;
}

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

/// The best `wanted` positions by full vectors, of the `ranked` best by codes; fewer where
/// fewer were come across. `effort` is a graph's ef or the number of lists that are looked
/// into. `share` becomes the part of the vectors come across that may be answered.
int clipdb_search(
        const clipdb_index* index,
        const float* query,
        size_t wanted,
        size_t ranked,
        size_t effort,
        const clipdb_filter* filter,
        int64_t* positions,
        float* scores,
        size_t* found,
        float* share,
        char* message) {
    return clipdb::call(message, [&] {
        auto* graph = dynamic_cast<const faiss::IndexHNSW*>(index->index.get());
        ranked = std::max(ranked, wanted);
        std::vector<Candidate> candidates = graph
                ? ask_graph(
                          *index, graph->hnsw, query, std::max(effort, wanted), *filter, share)
                : ask_lists(*index->index, query, ranked, effort, *filter, share);
        keep_best(candidates, ranked);
        score(*index, query, candidates);
        keep_best(candidates, wanted);
        std::sort(candidates.begin(), candidates.end(), is_better);
        for (size_t at = 0; at < candidates.size(); at++) {
            positions[at] = candidates[at].position;
            scores[at] = candidates[at].score;
        }
        *found = candidates.size();
    });
}

void clipdb_free(clipdb_index* index) noexcept {
    delete index;
}

} // extern "C"
