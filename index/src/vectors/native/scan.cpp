// Exact search over contiguous vectors.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "call.h"
#include "inner_product.h"
#include "interface.h"

namespace {

using clipdb::Candidate;

/// The best `wanted` candidates until now; of equal scores, those of lower rows. Holds about twice
/// as many at most.
class Best {
  public:
    Best(size_t wanted, const uint64_t* rows) : wanted(wanted), is_better{rows} {
        held.reserve(std::min<size_t>(2 * wanted, 4096));
    }

    void offer(float score, uint32_t position) {
        if (score < least) {
            return;
        }
        held.push_back({score, position});
        if (held.size() >= 2 * wanted + 64) {
            prune();
        }
    }

    /// Writes them, best first.
    void finish(clipdb_hits& out) {
        prune();
        std::sort(held.begin(), held.end(), is_better);
        for (const Candidate& one : held) {
            out.push(one);
        }
    }

  private:
    void prune() {
        if (held.size() > wanted) {
            std::nth_element(held.begin(), held.begin() + (wanted - 1), held.end(), is_better);
            held.resize(wanted);
            least = held.back().score;
        }
    }

    size_t wanted;
    clipdb::IsBetter is_better;
    float least = -std::numeric_limits<float>::infinity();
    std::vector<Candidate> held;
};

/// Offers the vectors at `position(0)` to `position(count - 1)` that `passes` accepts.
template <typename Position, typename Passes>
void scan(
        const clipdb_vectors& segment,
        const float* query,
        size_t count,
        Position&& position,
        Passes&& passes,
        Best& best) {
    const float* vectors = segment.vectors;
    size_t dim = segment.dim;
    size_t batch[4];
    size_t gathered = 0;
    for (size_t at = 0; at < count; at++) {
        size_t next = position(at);
        if (!passes(next)) {
            continue;
        }
        batch[gathered++] = next;
        if (gathered == 4) {
            float four[4];
            clipdb::inner_product_4(
                    query,
                    vectors + batch[0] * dim,
                    vectors + batch[1] * dim,
                    vectors + batch[2] * dim,
                    vectors + batch[3] * dim,
                    dim,
                    four);
            for (size_t one = 0; one < 4; one++) {
                best.offer(four[one], batch[one]);
            }
            gathered = 0;
        }
    }
    for (size_t one = 0; one < gathered; one++) {
        best.offer(clipdb::inner_product(query, vectors + batch[one] * dim, dim), batch[one]);
    }
}

} // namespace

extern "C" {

/// The best `wanted` vectors, at least 1, that the filter accepts.
int clipdb_scan(
        const clipdb_vectors* vectors,
        const float* query,
        size_t wanted,
        const clipdb_filter* filter,
        clipdb_hits* out,
        char* message) {
    return clipdb::call(message, [&] {
        Best best(wanted, filter->rows);
        scan(
                *vectors,
                query,
                vectors->count,
                [](size_t at) { return at; },
                [&](size_t position) { return clipdb::passes(*filter, position); },
                best);
        best.finish(*out);
    });
}

/// The best of the vectors at some positions.
int clipdb_scan_positions(
        const clipdb_vectors* vectors,
        const clipdb_positions* request,
        clipdb_hits* out,
        char* message) {
    return clipdb::call(message, [&] {
        Best best(request->wanted, request->rows);
        scan(
                *vectors,
                request->query,
                request->count,
                [&](size_t at) { return request->positions[at]; },
                [](size_t) { return true; },
                best);
        best.finish(*out);
    });
}

} // extern "C"
