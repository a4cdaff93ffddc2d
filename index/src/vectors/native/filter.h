// Which positions of a segment a search may answer with.
#pragma once

#include <cstddef>
#include <cstdint>

#include <faiss/impl/IDSelector.h>

/// Bit `p % 64` of word `p / 64` stands for position or row `p`.
struct clipdb_filter {
    /// Positions that are not removed; may change during a search. Null: all.
    const uint64_t* live;
    /// The row of each position.
    const uint64_t* rows;
    /// Rows that may be answered. Null: all.
    const uint64_t* within;
    /// Words of `within`; rows beyond are not in it.
    size_t within_words;
};

namespace clipdb {

inline bool is_live(const clipdb_filter& filter, uint64_t position) {
    return !filter.live ||
            (__atomic_load_n(filter.live + position / 64, __ATOMIC_RELAXED) >> (position % 64) & 1);
}

inline bool is_within(const clipdb_filter& filter, uint64_t position) {
    if (!filter.within) {
        return true;
    }
    uint64_t row = filter.rows[position];
    return row / 64 < filter.within_words && (filter.within[row / 64] >> (row % 64) & 1);
}

inline bool passes(const clipdb_filter& filter, uint64_t position) {
    return is_live(filter, position) && is_within(filter, position);
}

struct Selector final : faiss::IDSelector {
    clipdb_filter filter;
    /// How often it was asked, about the better ones of what a search comes across, and how
    /// often it said yes; by one thread.
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
        return !filter.live && !filter.within;
    }
};

} // namespace clipdb
