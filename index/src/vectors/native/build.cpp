// Building one segment's index with FAISS. FAISS ids are the segment's positions.

#include <mutex>

#include <faiss/IndexFlat.h>
#include <faiss/IndexIVFPQFastScan.h>
#include <faiss/impl/AuxIndexStructures.h>

#include "call.h"
#include "index.h"
#include "storage.h"

/// Asked now and then during a build, on the thread that called; false ends it.
typedef bool (*clipdb_go_on)(void* context, size_t done);

namespace {

/// Vectors added between two questions whether to go on.
constexpr faiss::idx_t STEP = 4096;

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

/// Puts storage that is not the graph's own in the place of what it had.
void lend(faiss::IndexHNSW& graph, faiss::Index* storage) {
    if (graph.own_fields) {
        delete graph.storage;
    }
    graph.storage = storage;
    graph.own_fields = false;
}

} // namespace

extern "C" {

/// A graph over all `count` vectors, linked by their codes; both outlive it. With `base`, the
/// graph in that file, which is over the first `base_count` of them, is continued; without,
/// `base_count` is 0.
int clipdb_build_graph(
        const float* vectors,
        const uint8_t* codes,
        size_t count,
        size_t dim,
        int links,
        int ef_construction,
        const char* base,
        size_t base_count,
        clipdb_go_on go_on,
        void* context,
        clipdb_index** out,
        char* message) {
    return clipdb::call(message, [&] {
        auto index = std::make_unique<clipdb_index>(vectors, codes, count, dim);
        clipdb::CodedVectors storage(index->codes, count, base_count, dim);
        std::unique_ptr<faiss::IndexHNSW> graph;
        if (base) {
            graph = clipdb::read_graph(base, 0);
            clipdb::check_shape(*graph, base_count, dim);
        } else {
            graph = std::make_unique<faiss::IndexHNSWFlat>(
                    dim, links, faiss::METRIC_INNER_PRODUCT);
        }
        lend(*graph, &storage);
        graph->hnsw.efConstruction = ef_construction;
        Progress progress{go_on, context, base_count};
        BuildOnThisThread here(progress);
        faiss::idx_t total = count;
        while (graph->ntotal < total) {
            faiss::InterruptCallback::check();
            faiss::idx_t step = std::min(STEP, total - graph->ntotal);
            graph->add(step, vectors + graph->ntotal * dim);
            progress.done = graph->ntotal;
        }
        lend(*graph, nullptr);
        index->index = std::move(graph);
        *out = index.release();
    });
}

/// Lists of product codes, `subquantizers` numbers of 4 bits for each vector: their tables of
/// distances stay in registers (André, Kermarrec and Le Scouarnec 2015), where those of 8 bits
/// are gathered from memory.
int clipdb_build_lists(
        const float* vectors,
        size_t count,
        size_t dim,
        size_t lists,
        size_t subquantizers,
        clipdb_go_on go_on,
        void* context,
        clipdb_index** out,
        char* message) {
    return clipdb::call(message, [&] {
        Progress progress{go_on, context, 0};
        BuildOnThisThread here(progress);
        auto index = std::make_unique<faiss::IndexIVFPQFastScan>(
                new faiss::IndexFlatIP(dim),
                dim,
                lists,
                subquantizers,
                4,
                faiss::METRIC_INNER_PRODUCT);
        index->own_fields = true;
        // By residuals this kind of FAISS 1.12 misses some of a list's vectors, other ones in
        // each build.
        index->by_residual = false;
        index->cp.niter = 10;
        index->cp.spherical = true;
        index->cp.max_points_per_centroid = 64;
        index->train(count, vectors);
        for (size_t done = 0; done < count; done += STEP) {
            faiss::InterruptCallback::check();
            index->add(std::min<size_t>(STEP, count - done), vectors + done * dim);
            progress.done = done;
        }
        *out = new clipdb_index(vectors, nullptr, count, dim);
        (*out)->index = std::move(index);
    });
}

} // extern "C"
