//! The sets of rows that filters left, kept until the next commit: searches often ask with the
//! same filter again.

use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;
use tantivy::Searcher;

use super::{Filter, Node, Test, evaluate};
use crate::columns::Source;
use crate::error::IndexError;
use crate::row_set::RowSet;

/// The most sets that are kept, and the most bytes of them and their filters.
const SETS: usize = 64;
const BYTES: usize = 8 << 20;

/// Those of one collection.
#[derive(Default)]
pub(crate) struct KeptSets(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// Of tantivy's searcher: another one for each commit.
    generation: u64,
    /// The last used one last.
    sets: Vec<Set>,
    bytes: usize,
}

struct Set {
    filter: Filter,
    rows: Arc<RowSet>,
    bytes: usize,
}

impl KeptSets {
    /// The live rows that pass.
    pub(crate) fn select(
        &self,
        searcher: &Searcher,
        filter: &Filter,
    ) -> Result<Arc<RowSet>, IndexError> {
        let generation = searcher.generation().generation_id();
        if let Some(rows) = self.0.lock().get(generation, filter) {
            return Ok(rows);
        }
        // Not under the lock: other filters need not wait for this one.
        let rows = Arc::new(evaluate::select(searcher, filter)?);
        self.0.lock().put(generation, filter, &rows);
        Ok(rows)
    }
}

impl Kept {
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
        self.sets.push(Set {
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
    /// Bytes of memory that it takes, about.
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
                    Test::Holds(text) => text.len(),
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

    fn rows(last: u64) -> Arc<RowSet> {
        Arc::new([RowId(last)].into_iter().collect())
    }

    #[test]
    fn a_set_is_kept_until_the_next_generation() {
        let mut kept = Kept::default();
        kept.put(3, &filter(1), &rows(1));
        assert_eq!(kept.get(3, &filter(1)), Some(rows(1)));
        assert_eq!(kept.get(3, &filter(2)), None);
        assert_eq!(kept.get(4, &filter(1)), None);
        // Worked out on the searcher of before the commit.
        kept.put(4, &filter(2), &rows(2));
        kept.put(3, &filter(1), &rows(1));
        assert_eq!(kept.get(4, &filter(1)), None);
        assert_eq!(kept.get(4, &filter(2)), Some(rows(2)));
    }

    #[test]
    fn number_and_bytes_are_bounded_and_the_last_used_stay() {
        let mut kept = Kept::default();
        for year in 0..2 * SETS {
            kept.put(1, &filter(year), &rows(1));
            assert!(kept.get(1, &filter(0)).is_some(), "{year}");
        }
        assert_eq!(kept.sets.len(), SETS);
        // A set of 2 MiB each, then one that is larger than all may be.
        for year in 1000..1010 {
            kept.put(1, &filter(year), &rows(8 * (2 << 20)));
            assert!(kept.bytes <= BYTES);
        }
        assert!(kept.get(1, &filter(1009)).is_some());
        kept.put(1, &filter(2000), &rows(8 * (10 << 20)));
        assert_eq!(kept.get(1, &filter(2000)), None);
        let long = Filter {
            root: Node::Field(Source::Id, Test::Holds("x".repeat(BYTES))),
        };
        kept.put(1, &long, &rows(1));
        assert_eq!(kept.get(1, &long), None);
        let used: usize = kept.sets.iter().map(|set| set.bytes).sum();
        assert_eq!(kept.bytes, used);
    }
}
