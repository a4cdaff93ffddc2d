//! How a collection's vectors are indexed.

use serde::{Deserialize, Serialize};

/// Below so many vectors of a kind `auto` scans: a scan of them takes a few milliseconds.
const AUTO_FLAT_BELOW: usize = 20_000;

/// From so many on `auto` looks at few full vectors: they will not all be in memory.
const AUTO_SQ8_FROM: usize = 2_000_000;

/// What a collection asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexKind {
    /// By size: scans while there are few, then a graph, as `sq8` when there are millions.
    #[default]
    Auto,
    /// Exact scans.
    Flat,
    /// A graph (Malkov and Yashunin 2016), walked by 8-bit codes; the better half of the
    /// candidates that a walk keeps is ranked by the full vectors.
    Hnsw,
    /// An inverted file over product codes (Jégou, Douze and Schmid 2011), the best of which
    /// are ranked anew by the full vectors.
    IvfPq,
    /// The same graph; only the best few candidates are ranked by the full vectors, which may
    /// therefore stay on disk.
    Sq8,
}

/// What a segment is built as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuiltKind {
    /// Scanned.
    Flat,
    /// A graph of whose candidates the better half is ranked by the full vectors.
    Hnsw,
    /// An inverted file over product codes.
    IvfPq,
    /// A graph of whose candidates only the best few are.
    Sq8,
}

/// A collection's choice of index and its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VectorSettings {
    /// The kind.
    pub kind: IndexKind,
    /// Links of each vector in a graph (twice as many in its lowest layer).
    pub m: usize,
    /// Candidates that are kept while a vector's links are chosen.
    pub ef_construction: usize,
    /// Candidates that a search of a graph keeps, unless it asks for another number.
    pub ef: usize,
    /// Lists of an inverted file; by the segment's size if not given.
    pub nlist: Option<usize>,
    /// Lists that a search looks into; a share of the lists if not given.
    pub nprobe: Option<usize>,
    /// Bytes of a product code, two numbers in each; about an eighth of the dimensions if not given.
    pub pq_m: Option<usize>,
    /// New vectors of a kind that are kept in memory before they become a segment on disk.
    pub seal_at: usize,
}

impl Default for VectorSettings {
    fn default() -> Self {
        Self {
            kind: IndexKind::Auto,
            m: 16,
            ef_construction: 128,
            ef: 96,
            nlist: None,
            nprobe: None,
            pq_m: None,
            seal_at: 16_384,
        }
    }
}

impl VectorSettings {
    /// What `vectors` vectors of one kind are built as.
    pub fn built_as(&self, vectors: usize) -> BuiltKind {
        match self.kind {
            IndexKind::Flat => BuiltKind::Flat,
            IndexKind::Hnsw => BuiltKind::Hnsw,
            IndexKind::IvfPq => BuiltKind::IvfPq,
            IndexKind::Sq8 => BuiltKind::Sq8,
            IndexKind::Auto if vectors < AUTO_FLAT_BELOW => BuiltKind::Flat,
            IndexKind::Auto if vectors < AUTO_SQ8_FROM => BuiltKind::Hnsw,
            IndexKind::Auto => BuiltKind::Sq8,
        }
    }

    /// Lists for a segment of `vectors` vectors: FAISS wants about 39 in each to learn from.
    pub(super) fn lists(&self, vectors: usize) -> usize {
        let by_size = 2 * vectors.isqrt();
        self.nlist
            .unwrap_or(by_size)
            .clamp(1, (vectors / 39).max(1))
    }

    /// Lists that a search looks into unless it asks for another number.
    pub(super) fn probed(&self, lists: usize) -> usize {
        self.nprobe.unwrap_or((lists / 32).max(8)).min(lists)
    }

    /// Numbers of four bits in a product code: of the divisors of `dim` that are not much
    /// smaller than two in each byte wanted the nearest.
    pub(super) fn subquantizers(&self, dim: usize) -> usize {
        let wanted = (2 * self.pq_m.unwrap_or(dim.div_ceil(8))).min(dim);
        (wanted.div_ceil(2)..=dim)
            .filter(|numbers| dim.is_multiple_of(*numbers))
            .min_by_key(|numbers| numbers.abs_diff(wanted))
            .unwrap_or(dim)
    }
}

impl BuiltKind {
    /// The fewest vectors that are worth it.
    pub(super) fn least(self) -> usize {
        match self {
            Self::Flat => 1,
            Self::Hnsw | Self::Sq8 => 1024,
            // 64 lists of 39, from which FAISS learns; a scan is about as fast.
            Self::IvfPq => 2500,
        }
    }

    /// Whether it is a graph, which more vectors can be added to.
    pub(super) fn is_graph(self) -> bool {
        matches!(self, Self::Hnsw | Self::Sq8)
    }
}

impl std::fmt::Display for BuiltKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Flat => "flat",
            Self::Hnsw => "hnsw",
            Self::IvfPq => "ivf_pq",
            Self::Sq8 => "sq8",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_two_numbers_a_byte_or_the_nearest_that_divide_the_dimension() {
        for (dim, pq_m, wanted) in [
            (512, None, 128),
            (384, None, 96),
            (384, Some(64), 128),
            (512, Some(256), 512),
            (100, None, 25),
            (100, Some(25), 50),
            // A prime: not one number for everything.
            (127, None, 127),
            (1, None, 1),
        ] {
            let settings = VectorSettings {
                pq_m,
                ..VectorSettings::default()
            };
            assert_eq!(settings.subquantizers(dim), wanted, "{dim}, {pq_m:?}");
        }
    }
}
