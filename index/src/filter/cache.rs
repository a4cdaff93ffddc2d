//! Caches the results of filters until the next commit, since searches often repeat a filter.

use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;
use tantivy::Searcher;

use super::{Filter, Node, Test, evaluate};
use crate::columns::Source;
use crate::error::IndexError;
use crate::row_set::RowSet;

/// Maximum number of cached results, and of their bytes including the filters.
const SETS: usize = 64;
const BYTES: usize = 8 << 20;

/// The cache of one collection.
#[derive(Default)]
pub(crate) struct FilterCache(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    /// The generation of tantivy's searcher, which changes with each commit.
    generation: u64,
    /// The most recently used last.
    sets: Vec<Entry>,
    bytes: usize,
}

struct Entry {
    filter: Filter,
    rows: Arc<RowSet>,
    bytes: usize,
}

impl FilterCache {
    /// The live rows that the filter accepts.
    pub(crate) fn select(
        &self,
        searcher: &Searcher,
        filter: &Filter,
    ) -> Result<Arc<RowSet>, IndexError> {
        let generation = searcher.generation().generation_id();
        if let Some(rows) = self.0.lock().get(generation, filter) {
            return Ok(rows);
        }
        // Without the lock, so other filters need not wait for this one.
        let rows = Arc::new(evaluate::select(searcher, filter)?);
        self.0.lock().put(generation, filter, &rows);
        Ok(rows)
    }
}

impl Entries {
    fn get(&mut self, generation: u64, filter: &Filter) -> Option<Arc<RowSet>> {
        if self.generation != generation {
            return None;
        }
        let at = self.sets.iter().position(|set| set.filter == *filter)?;
        self.sets[at..].rotate_left(1);
        self.sets.last().map(|set| Arc::clone(&set.rows))
    }

    fn put(&mut self, generation: u64, filter: &Filter, rows: &Arc<RowSet>) {
        if self.generation < generation {
            *self = Self {
                generation,
                ..Self::default()
            };
        }
        let bytes = rows.memory_bytes() + filter.root.bytes();
        let known = self.sets.iter().any(|set| set.filter == *filter);
        if self.generation > generation || known || bytes > BYTES {
            return;
        }
        self.bytes += bytes;
        self.sets.push(Entry {
            filter: filter.clone(),
            rows: Arc::clone(rows),
            bytes,
        });
        while self.bytes > BYTES || self.sets.len() > SETS {
            self.bytes -= self.sets.remove(0).bytes;
        }
    }
}

impl Node {
    /// Approximate size in memory, in bytes.
    fn bytes(&self) -> usize {
        let inside = match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().map(Self::bytes).sum(),
            Self::Not(node) => node.bytes(),
            Self::Field(source, test) => {
                let name = match source {
                    Source::Field(path) => path.len(),
                    Source::Id | Source::Text | Source::Image | Source::TextVector => 0,
                };
                let terms = match test {
                    Test::OneOf(terms) => terms
                        .iter()
                        .map(|term| size_of::<String>() + term.len())
                        .sum(),
                    Test::Contains(text) => text.len(),
                    Test::Between(low, high) => bound_bytes(low) + bound_bytes(high),
                    Test::Exists | Test::Within { .. } | Test::Inside(_) => 0,
                };
                name + terms
            }
        };
        size_of::<Self>() + inside
    }
}

fn bound_bytes(bound: &Bound<String>) -> usize {
    match bound {
        Bound::Included(term) | Bound::Excluded(term) => term.len(),
        Bound::Unbounded => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::columns::Fields;
    use crate::row::RowId;

    fn filter(year: usize) -> Filter {
        Filter::parse(&json!({"year": year}), &Fields::default()).unwrap()
    }

    fn rows(row: u64) -> Arc<RowSet> {
        Arc::new([RowId(row)].into_iter().collect())
    }

    /// A set of about so many MiB: of every sixteenth row, which take two bytes each.
    fn large(mib: u64) -> Arc<RowSet> {
        Arc::new((0..mib << 19).map(|at| RowId(16 * at)).collect())
    }

    #[test]
    fn a_result_is_cached_until_the_next_generation() {
        let mut cache = Entries::default();
        cache.put(3, &filter(1), &rows(1));
        assert_eq!(cache.get(3, &filter(1)), Some(rows(1)));
        assert_eq!(cache.get(3, &filter(2)), None);
        assert_eq!(cache.get(4, &filter(1)), None);
        // Evaluated on the searcher before the commit.
        cache.put(4, &filter(2), &rows(2));
        cache.put(3, &filter(1), &rows(1));
        assert_eq!(cache.get(4, &filter(1)), None);
        assert_eq!(cache.get(4, &filter(2)), Some(rows(2)));
    }

    #[test]
    fn number_and_bytes_are_bounded_and_recently_used_results_stay() {
        let mut cache = Entries::default();
        for year in 0..2 * SETS {
            cache.put(1, &filter(year), &rows(1));
            assert!(cache.get(1, &filter(0)).is_some(), "{year}");
        }
        assert_eq!(cache.sets.len(), SETS);
        // Sets of 2 MiB, then one that exceeds the maximum.
        for year in 1000..1010 {
            cache.put(1, &filter(year), &large(2));
            assert!(cache.bytes <= BYTES);
        }
        assert!(cache.get(1, &filter(1009)).is_some());
        cache.put(1, &filter(2000), &large(10));
        assert_eq!(cache.get(1, &filter(2000)), None);
        let long = Filter {
            root: Node::Field(Source::Id, Test::Contains("x".repeat(BYTES))),
        };
        cache.put(1, &long, &rows(1));
        assert_eq!(cache.get(1, &long), None);
        let used: usize = cache.sets.iter().map(|set| set.bytes).sum();
        assert_eq!(cache.bytes, used);
    }
}
