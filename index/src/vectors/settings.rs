//! The settings of a collection's vector index.

use serde::{Deserialize, Serialize};

/// `auto` scans below this number of vectors of a kind: such a scan takes a few milliseconds.
const AUTO_FLAT_BELOW: usize = 20_000;

/// From this number on, `auto` ranks few full vectors: they may not all fit in memory.
const AUTO_SQ8_FROM: usize = 2_000_000;

/// The kind of index that a collection requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexKind {
    /// By size: scans for few vectors, then `hnsw`, then `sq8` for millions.
    #[default]
    Auto,
    /// Exact scans.
    Flat,
    /// An HNSW graph (Malkov and Yashunin 2016) that is traversed by 8-bit codes; full vectors rank
    /// the better half of the candidates.
    Hnsw,
    /// An inverted file over product codes (Jégou, Douze and Schmid 2011); full vectors rank the
    /// best candidates.
    IvfPq,
    /// The same graph as `hnsw`; full vectors rank only a few candidates and may therefore stay on
    /// disk.
    Sq8,
}

/// The kind of index that a segment has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuiltKind {
    /// None: the segment is scanned.
    Flat,
    /// A graph; full vectors rank the better half of the candidates.
    Hnsw,
    /// An inverted file over product codes.
    IvfPq,
    /// A graph; full vectors rank only a few candidates.
    Sq8,
}

/// A collection's kind of index and its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VectorSettings {
    /// The kind.
    pub kind: IndexKind,
    /// Links of each vector in a graph (twice as many in the lowest layer).
    pub m: usize,
    /// Candidates that a graph build keeps while it chooses a vector's links.
    pub ef_construction: usize,
    /// Candidates that a graph search keeps by default.
    pub ef: usize,
    /// Lists of an inverted file; `None` to choose by the segment's size.
    pub nlist: Option<usize>,
    /// Lists that a search reads by default; `None` for a share of the lists.
    pub nprobe: Option<usize>,
    /// Bytes of a product code; `None` for about an eighth of the dimensions. A byte holds two
    /// 4-bit codes.
    pub pq_m: Option<usize>,
    /// New vectors of a kind that are kept in memory before they are written to disk.
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
    /// The kind of index for `vectors` vectors of one kind.
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

    /// Lists for a segment of `vectors` vectors: FAISS requires about 39 training vectors for each.
    pub(super) fn lists(&self, vectors: usize) -> usize {
        let by_size = 2 * vectors.isqrt();
        self.nlist
            .unwrap_or(by_size)
            .clamp(1, (vectors / 39).max(1))
    }

    /// Lists that a search reads by default.
    pub(super) fn probed(&self, lists: usize) -> usize {
        self.nprobe.unwrap_or((lists / 32).max(8)).min(lists)
    }

    /// Number of 4-bit codes in a product code: the divisor of `dim` nearest to two for each
    /// requested byte, and not below half of that.
    pub(super) fn subquantizers(&self, dim: usize) -> usize {
        let wanted = (2 * self.pq_m.unwrap_or(dim.div_ceil(8))).min(dim);
        (wanted.div_ceil(2)..=dim)
            .filter(|numbers| dim.is_multiple_of(*numbers))
            .min_by_key(|numbers| numbers.abs_diff(wanted))
            .unwrap_or(dim)
    }
}

impl BuiltKind {
    /// The minimum number of vectors.
    pub(super) fn least(self) -> usize {
        match self {
            Self::Flat => 1,
            Self::Hnsw | Self::Sq8 => 1024,
            // 64 lists with 39 training vectors each; below that a scan is about as fast.
            Self::IvfPq => 2500,
        }
    }

    /// Whether it is a graph, which can be extended.
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
    fn subquantizers_divide_the_dimension() {
        for (dim, pq_m, wanted) in [
            (512, None, 128),
            (384, None, 96),
            (384, Some(64), 128),
            (512, Some(256), 512),
            (100, None, 25),
            (100, Some(25), 50),
            // A prime: not a single code for all dimensions.
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
