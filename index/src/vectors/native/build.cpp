// Builds one segment's index with FAISS. FAISS ids are the segment's positions.

#include <mutex>

#include <faiss/IndexFlat.h>
#include <faiss/IndexIVFPQFastScan.h>
#include <faiss/impl/AuxIndexStructures.h>

#include "call.h"
#include "index.h"
#include "interface.h"
#include "storage.h"

namespace {

/// Vectors added between two reports of progress.
constexpr faiss::idx_t STEP = 4096;

struct Progress {
    const clipdb_progress& report;
    size_t done;
};

thread_local Progress* building = nullptr;

/// FAISS has one callback for the process and calls it on any thread that runs FAISS. Only a
/// thread that builds is ever interrupted.
struct StopBuilding : faiss::InterruptCallback {
    bool want_interrupt() override {
        return building && !building->report.record(building->report.context, building->done);
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

/// Replaces the graph's storage by storage that the graph does not own.
void lend(faiss::IndexHNSW& graph, faiss::Index* storage) {
    if (graph.own_fields) {
        delete graph.storage;
    }
    graph.storage = storage;
    graph.own_fields = false;
}

} // namespace

extern "C" {

/// Builds a graph over all vectors, linked by their codes. With `base`, extends the graph in that
/// file.
int clipdb_build_graph(const clipdb_graph_build* build, clipdb_index** out, char* message) {
    return clipdb::call(message, [&] {
        const auto [vectors, codes, count, dim] = build->vectors;
        auto index = std::make_unique<clipdb_index>(build->vectors);
        clipdb::CodedVectors storage(index->codes, count, build->base_count, dim);
        std::unique_ptr<faiss::IndexHNSW> graph;
        if (build->base) {
            graph = clipdb::read_graph(build->base, 0);
            clipdb::check_shape(*graph, build->base_count, dim);
        } else {
            graph = std::make_unique<faiss::IndexHNSWFlat>(
                    dim, build->links, faiss::METRIC_INNER_PRODUCT);
        }
        lend(*graph, &storage);
        graph->hnsw.efConstruction = build->ef_construction;
        Progress progress{build->progress, build->base_count};
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

/// Builds an inverted file over product codes of `subquantizers` numbers of 4 bits a vector.
/// Their distance tables fit in registers (André, Kermarrec and Le Scouarnec 2015); tables of
/// 8-bit codes are gathered from memory.
int clipdb_build_lists(const clipdb_lists_build* build, clipdb_index** out, char* message) {
    return clipdb::call(message, [&] {
        const auto [vectors, codes, count, dim] = build->vectors;
        Progress progress{build->progress, 0};
        BuildOnThisThread here(progress);
        auto index = std::make_unique<faiss::IndexIVFPQFastScan>(
                new faiss::IndexFlatIP(dim),
                dim,
                build->lists,
                build->subquantizers,
                4,
                faiss::METRIC_INNER_PRODUCT);
        index->own_fields = true;
        // With residuals this class of FAISS 1.12 misses some vectors of a list, different ones
        // in each build.
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
        *out = new clipdb_index(build->vectors);
        (*out)->index = std::move(index);
    });
}

} // extern "C"
