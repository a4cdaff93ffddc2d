// Exact search over vectors that lie one behind the other.

#include <faiss/utils/Heap.h>

#include "call.h"
#include "filter.h"
#include "inner_product.h"

namespace {

/// The best `wanted` so far; of equal scores the earlier position stays.
class Best {
  public:
    Best(size_t wanted, int64_t* positions, float* scores)
            : wanted(wanted), positions(positions), scores(scores) {}

    void offer(float score, int64_t position) {
        if (held < wanted) {
            faiss::minheap_push(++held, scores, positions, score, position);
        } else if (score > scores[0]) {
            faiss::minheap_replace_top(wanted, scores, positions, score, position);
        }
    }

    /// Sorts, best first, and tells how many there are.
    size_t finish() {
        faiss::minheap_reorder(held, scores, positions);
        return held;
    }

  private:
    size_t wanted;
    int64_t* positions;
    float* scores;
    size_t held = 0;
};

} // namespace

extern "C" {

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
        Best best(wanted, positions, scores);
        size_t batch[4];
        size_t gathered = 0;
        for (size_t position = 0; position < count; position++) {
            if (!clipdb::passes(*filter, position)) {
                continue;
            }
            batch[gathered++] = position;
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
                for (size_t at = 0; at < 4; at++) {
                    best.offer(four[at], batch[at]);
                }
                gathered = 0;
            }
        }
        for (size_t at = 0; at < gathered; at++) {
            float score = clipdb::inner_product(query, vectors + batch[at] * dim, dim);
            best.offer(score, batch[at]);
        }
        *found = best.finish();
    });
}

/// The query against the vectors at `positions`.
void clipdb_scores(
        const float* vectors,
        size_t dim,
        const float* query,
        const uint32_t* positions,
        size_t count,
        float* scores) noexcept {
    size_t at = 0;
    for (; at + 4 <= count; at += 4) {
        clipdb::inner_product_4(
                query,
                vectors + positions[at] * dim,
                vectors + positions[at + 1] * dim,
                vectors + positions[at + 2] * dim,
                vectors + positions[at + 3] * dim,
                dim,
                scores + at);
    }
    for (; at < count; at++) {
        scores[at] = clipdb::inner_product(query, vectors + positions[at] * dim, dim);
    }
}

} // extern "C"
