// Approximate indexes of one segment: a graph over full or 8-bit vectors, or an inverted file
// over product codes. FAISS ids are the segment's positions.

#include <memory>
#include <mutex>

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexScalarQuantizer.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/FaissAssert.h>
#include <faiss/index_io.h>

#include "call.h"
#include "filter.h"
#include "storage.h"

/// Asked now and then during a build, on the thread that called; false ends it.
typedef bool (*clipdb_go_on)(void* context, size_t done);

struct clipdb_index {
    std::unique_ptr<faiss::Index> index;
};

namespace {

/// Vectors added to a graph between two questions whether to go on.
constexpr faiss::idx_t GRAPH_STEP = 4096;

struct Progress {
    clipdb_go_on go_on;
    void* context;
    size_t done;
};

thread_local Progress* building = nullptr;

/// FAISS asks one object for the whole process, on whatever thread it happens to run: only
/// the thread that builds ever stops.
struct StopBuilding : faiss::InterruptCallback {
    bool want_interrupt() override {
        return building && !building->go_on(building->context, building->done);
    }
};

void install_stop() {
    static std::once_flag once;
    std::call_once(once, [] {
        faiss::InterruptCallback::instance = std::make_unique<StopBuilding>();
    });
}

class BuildOnThisThread {
  public:
    explicit BuildOnThisThread(Progress& progress) {
        install_stop();
        building = &progress;
    }
    ~BuildOnThisThread() {
        building = nullptr;
    }
};

void own_storage(faiss::IndexHNSW& graph, faiss::Index* storage) {
    if (graph.own_fields) {
        delete graph.storage;
    }
    graph.storage = storage;
    graph.own_fields = true;
}

/// Reads a graph, which is left without storage where it was written without.
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

} // namespace

extern "C" {

/// A graph over all `count` vectors, which outlive it. With `base`, the graph in that file,
/// which is over the first `base_count` of them, is continued.
int clipdb_build_graph(
        const float* vectors,
        size_t count,
        size_t dim,
        int links,
        int ef_construction,
        const char* base,
        size_t base_count,
        bool eight_bits,
        clipdb_go_on go_on,
        void* context,
        clipdb_index** out,
        char* message) {
    return clipdb::call(message, [&] {
        std::unique_ptr<faiss::IndexHNSW> graph;
        if (base) {
            graph = read_graph(base, 0);
            check_shape(*graph, base_count, dim);
        } else {
            graph = std::make_unique<faiss::IndexHNSWFlat>(
                    dim, links, faiss::METRIC_INNER_PRODUCT);
            base_count = 0;
        }
        own_storage(*graph, new clipdb::BorrowedVectors(vectors, count, base_count, dim));
        graph->hnsw.efConstruction = ef_construction;
        Progress progress{go_on, context, base_count};
        BuildOnThisThread here(progress);
        faiss::idx_t total = count;
        while (graph->ntotal < total) {
            faiss::InterruptCallback::check();
            faiss::idx_t step = std::min(GRAPH_STEP, total - graph->ntotal);
            graph->add(step, vectors + graph->ntotal * dim);
            progress.done = graph->ntotal;
        }
        if (eight_bits) {
            auto codes = std::make_unique<faiss::IndexScalarQuantizer>(
                    dim, faiss::ScalarQuantizer::QT_8bit, faiss::METRIC_INNER_PRODUCT);
            codes->train(count, vectors);
            codes->add(count, vectors);
            own_storage(*graph, codes.release());
        }
        *out = new clipdb_index{std::move(graph)};
    });
}

/// Lists of product codes, `code_bytes` for each vector.
int clipdb_build_lists(
        const float* vectors,
        size_t count,
        size_t dim,
        size_t lists,
        size_t code_bytes,
        clipdb_go_on go_on,
        void* context,
        clipdb_index** out,
        char* message) {
    return clipdb::call(message, [&] {
        Progress progress{go_on, context, 0};
        BuildOnThisThread here(progress);
        auto index = std::make_unique<faiss::IndexIVFPQ>(
                new faiss::IndexFlatIP(dim),
                dim,
                lists,
                code_bytes,
                8,
                faiss::METRIC_INNER_PRODUCT);
        index->own_fields = true;
        index->cp.niter = 10;
        index->cp.spherical = true;
        index->cp.max_points_per_centroid = 64;
        index->train(count, vectors);
        for (size_t done = 0; done < count; done += GRAPH_STEP) {
            faiss::InterruptCallback::check();
            index->add(std::min<size_t>(GRAPH_STEP, count - done), vectors + done * dim);
            progress.done = done;
        }
        *out = new clipdb_index{std::move(index)};
    });
}

/// Writes all but borrowed vectors.
int clipdb_write(const clipdb_index* index, const char* path, char* message) {
    return clipdb::call(message, [&] {
        auto* graph = dynamic_cast<const faiss::IndexHNSW*>(index->index.get());
        bool borrowed = graph && dynamic_cast<const clipdb::BorrowedVectors*>(graph->storage);
        faiss::write_index(index->index.get(), path, borrowed ? faiss::IO_FLAG_SKIP_STORAGE : 0);
    });
}

/// Maps what clipdb_write wrote, over `count` vectors that outlive it. The caller has
/// verified the file's checksum: FAISS trusts what it reads.
int clipdb_open(
        const char* path,
        const float* vectors,
        size_t count,
        size_t dim,
        clipdb_index** out,
        char* message) {
    return clipdb::call(message, [&] {
        std::unique_ptr<faiss::Index> index(faiss::read_index(path, faiss::IO_FLAG_MMAP_IFC));
        check_shape(*index, count, dim);
        if (auto* graph = dynamic_cast<faiss::IndexHNSW*>(index.get())) {
            if (!graph->storage) {
                own_storage(*graph, new clipdb::BorrowedVectors(vectors, count, count, dim));
            }
        }
        *out = new clipdb_index{std::move(index)};
    });
}

/// The best `wanted` positions, fewer where fewer were come across; `effort` is a graph's ef
/// or the number of lists that are looked into. `share` becomes the part of the vectors come
/// across that may be answered.
int clipdb_search(
        const clipdb_index* index,
        const float* query,
        size_t wanted,
        size_t effort,
        const clipdb_filter* filter,
        int64_t* positions,
        float* scores,
        size_t* found,
        float* share,
        char* message) {
    return clipdb::call(message, [&] {
        clipdb::Selector selector(*filter);
        faiss::IDSelector* sel = selector.passes_all() ? nullptr : &selector;
        if (dynamic_cast<const faiss::IndexIVF*>(index->index.get())) {
            faiss::SearchParametersIVF parameters;
            parameters.sel = sel;
            parameters.nprobe = effort;
            index->index->search(1, query, wanted, scores, positions, &parameters);
        } else {
            faiss::SearchParametersHNSW parameters;
            parameters.sel = sel;
            parameters.efSearch = effort;
            index->index->search(1, query, wanted, scores, positions, &parameters);
        }
        size_t there = 0;
        while (there < wanted && positions[there] >= 0) {
            there++;
        }
        *found = there;
        *share = selector.asked ? float(selector.passed) / selector.asked : 1.0f;
    });
}

void clipdb_free(clipdb_index* index) noexcept {
    delete index;
}

} // extern "C"
