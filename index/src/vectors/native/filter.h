// Which positions of a segment a search may return.
#pragma once

#include <cstddef>
#include <cstdint>

#include <faiss/impl/IDSelector.h>

struct clipdb_filter {
    /// Bit `p % 64` of word `p / 64` is set unless position `p` is removed; may change during a
    /// search. Null: no position is removed.
    const uint64_t* live;
    /// The row of each position.
    const uint64_t* rows;
    /// Whether a row is in the set `within`. Null: all rows are.
    bool (*contains)(const void* within, uint64_t row);
    const void* within;
};

namespace clipdb {

inline bool is_live(const clipdb_filter& filter, uint64_t position) {
    return !filter.live ||
            (__atomic_load_n(filter.live + position / 64, __ATOMIC_RELAXED) >> (position % 64) & 1);
}

inline bool is_within(const clipdb_filter& filter, uint64_t position) {
    return !filter.contains || filter.contains(filter.within, filter.rows[position]);
}

inline bool passes(const clipdb_filter& filter, uint64_t position) {
    return is_live(filter, position) && is_within(filter, position);
}

struct Selector final : faiss::IDSelector {
    clipdb_filter filter;
    /// How often FAISS asked, about the better candidates that it compared, and how often the
    /// filter accepted. One thread counts.
    mutable size_t asked = 0;
    mutable size_t passed = 0;
    explicit Selector(const clipdb_filter& filter) : filter(filter) {}
    bool is_member(faiss::idx_t position) const override {
        bool passes = clipdb::passes(filter, position);
        asked++;
        passed += passes;
        return passes;
    }
    bool passes_all() const {
        return !filter.live && !filter.contains;
    }
};

} // namespace clipdb
