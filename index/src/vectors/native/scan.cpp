// Exact search over vectors that lie one behind the other.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "call.h"
#include "candidate.h"
#include "filter.h"
#include "inner_product.h"

namespace {

using clipdb::Candidate;

/// The best `wanted` so far, of equal scores those of the earlier row. Twice as many are held at
/// the most.
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

    /// Writes them, best first, and returns how many there are.
    size_t finish(int64_t* positions, float* scores) {
        prune();
        std::sort(held.begin(), held.end(), is_better);
        for (size_t at = 0; at < held.size(); at++) {
            positions[at] = held[at].position;
            scores[at] = held[at].score;
        }
        return held.size();
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

/// Offers the vectors at `position(0)` to `position(count - 1)` that `passes` lets.
template <typename Position, typename Passes>
void scan(
        const float* vectors,
        size_t dim,
        const float* query,
        size_t count,
        Position&& position,
        Passes&& passes,
        Best& best) {
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

/// The best `wanted`, at least 1, of the vectors that are not removed, exactly.
int clipdb_scan(
        const float* vectors,
        size_t count,
        size_t dim,
        const float* query,
        size_t wanted,
        const clipdb_filter* filter,
        int64_t* positions,
        float* scores,
        size_t* found,
        char* message) {
    return clipdb::call(message, [&] {
        Best best(wanted, filter->rows);
        scan(
                vectors,
                dim,
                query,
                count,
                [](size_t at) { return at; },
                [&](size_t position) { return clipdb::passes(*filter, position); },
                best);
        *found = best.finish(positions, scores);
    });
}

/// The best `wanted`, at least 1, of the vectors at `scanned`, exactly.
int clipdb_scan_some(
        const float* vectors,
        size_t dim,
        const float* query,
        const uint32_t* scanned,
        size_t count,
        size_t wanted,
        const uint64_t* rows,
        int64_t* positions,
        float* scores,
        size_t* found,
        char* message) {
    return clipdb::call(message, [&] {
        Best best(wanted, rows);
        scan(
                vectors,
                dim,
                query,
                count,
                [&](size_t at) { return scanned[at]; },
                [](size_t) { return true; },
                best);
        *found = best.finish(positions, scores);
    });
}

} // extern "C"
