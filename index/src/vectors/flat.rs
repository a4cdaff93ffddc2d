//! Exact search: FAISS's flat inner-product index under an id map.
//!
//! FAISS removes from a flat index by moving everything behind the gap, so removals are
//! first only noted, their vectors skipped in answers, and carried out many at a time.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use faiss::index::flat::FlatIndexImpl;
use faiss::index::io::{read_index, write_index};
use faiss::index::{IndexImpl, SearchWithParams};
use faiss::search_params::SearchParameters;
use faiss::selector::IdSelector;
use faiss::{IdMap, Idx, Index};
use parking_lot::Mutex;

use super::id::{MAX_DIMENSIONS, VectorId};
use super::{VectorSegment, threads};
use crate::error::IndexError;
use crate::row::{RowId, Scored, VectorKind};

/// Removals noted before they are carried out. A search looks at up to this many results
/// more than it was asked for, which costs little beside the scan.
const REMOVALS_KEPT: usize = 1024;

/// All vectors of a collection, exactly as they came.
pub(crate) struct FlatSegment {
    dim: usize,
    index: IdMap<FlatIndexImpl>,
    images: Members,
    texts: Members,
}

/// The vectors of one kind.
struct Members {
    /// What can be found.
    live: BTreeSet<RowId>,
    /// What FAISS still holds but must not be found; disjoint from `live`.
    removed: HashSet<RowId>,
    selectors: Selectors,
}

impl FlatSegment {
    /// An empty segment.
    pub(crate) fn new(dim: usize) -> Result<Self, IndexError> {
        let native_dim = u32::try_from(dim)
            .ok()
            .filter(|_| (1..=MAX_DIMENSIONS).contains(&dim))
            .ok_or(IndexError::BadDimension(dim))?;
        let index = FlatIndexImpl::new_ip(native_dim)
            .and_then(IdMap::new)
            .map_err(IndexError::faiss("make an index"))?;
        Ok(Self {
            dim,
            index,
            images: Members::new(VectorKind::Image),
            texts: Members::new(VectorKind::Text),
        })
    }

    /// Reads what [`VectorSegment::save`] wrote. The caller has verified the file's
    /// checksum: FAISS trusts what it reads.
    pub(crate) fn load(path: &Path, dim: usize) -> Result<Self, IndexError> {
        let mut segment = Self::new(dim)?;
        segment.index = read_index(utf8(path)?)
            .and_then(IndexImpl::into_id_map)
            .and_then(IdMap::try_cast_inner_index::<FlatIndexImpl>)
            .map_err(IndexError::faiss("read its file"))?;
        let found_dim = segment.index.d() as usize;
        if found_dim != dim {
            return Err(IndexError::Dimension {
                expected: dim,
                got: found_dim,
            });
        }
        // FAISS's empty array has no address to make a slice of.
        if segment.index.ntotal() > 0 {
            for id in segment.index.id_map() {
                let Some(id) = id.get().and_then(VectorId::from_number) else {
                    continue;
                };
                let members = match id.kind() {
                    VectorKind::Image => &mut segment.images,
                    VectorKind::Text => &mut segment.texts,
                };
                members.live.insert(id.row());
            }
        }
        Ok(segment)
    }

    fn members(&self, kind: VectorKind) -> &Members {
        match kind {
            VectorKind::Image => &self.images,
            VectorKind::Text => &self.texts,
        }
    }

    fn members_mut(&mut self, kind: VectorKind) -> &mut Members {
        match kind {
            VectorKind::Image => &mut self.images,
            VectorKind::Text => &mut self.texts,
        }
    }

    fn check_dim(&self, vector: &[f32]) -> Result<(), IndexError> {
        if vector.len() == self.dim {
            return Ok(());
        }
        Err(IndexError::Dimension {
            expected: self.dim,
            got: vector.len(),
        })
    }
}

impl VectorSegment for FlatSegment {
    fn add(&mut self, vectors: &[(VectorId, &[f32])]) -> Result<(), IndexError> {
        if vectors
            .iter()
            .any(|(id, _)| self.members(id.kind()).removed.contains(&id.row()))
        {
            self.compact()?;
        }
        let mut ids = Vec::with_capacity(vectors.len());
        let mut numbers = Vec::with_capacity(vectors.len() * self.dim);
        let mut new = BTreeSet::new();
        for (id, vector) in vectors {
            self.check_dim(vector)?;
            if !self.members(id.kind()).live.contains(&id.row()) && new.insert(*id) {
                ids.push(Idx::new(id.number()));
                numbers.extend_from_slice(vector);
            }
        }
        if ids.is_empty() {
            return Ok(());
        }
        threads::apply_to_this_thread();
        self.index
            .add_with_ids(&numbers, &ids)
            .map_err(IndexError::faiss("add vectors"))?;
        for id in new {
            self.members_mut(id.kind()).live.insert(id.row());
        }
        Ok(())
    }

    fn remove(&mut self, rows: &[RowId]) -> Result<(), IndexError> {
        for row in rows {
            for members in [&mut self.images, &mut self.texts] {
                if members.live.remove(row) {
                    members.removed.insert(*row);
                }
            }
        }
        if self.images.removed.len() + self.texts.removed.len() > REMOVALS_KEPT {
            self.compact()?;
        }
        Ok(())
    }

    fn search(
        &self,
        query: &[f32],
        kind: VectorKind,
        limit: usize,
    ) -> Result<Vec<Scored>, IndexError> {
        self.check_dim(query)?;
        let members = self.members(kind);
        let limit = limit.min(members.live.len());
        if limit == 0 {
            return Ok(Vec::new());
        }
        threads::apply_to_this_thread();
        let parameters = members.selectors.take()?;
        let found = self
            .index
            .search_with_params(query, limit + members.removed.len(), &parameters)
            .map_err(IndexError::faiss("search"));
        members.selectors.give_back(parameters);
        let found = found?;
        let mut hits: Vec<Scored> = found
            .labels
            .iter()
            .zip(&found.distances)
            .filter_map(|(label, &score)| {
                let row = VectorId::from_number(label.get()?)?.row();
                (!members.removed.contains(&row)).then_some(Scored { row, score })
            })
            .collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
        hits.truncate(limit);
        Ok(hits)
    }

    fn len(&self, kind: VectorKind) -> usize {
        self.members(kind).live.len()
    }

    fn rows(&self) -> Vec<RowId> {
        self.images.live.union(&self.texts.live).copied().collect()
    }

    fn memory_bytes(&self) -> usize {
        // A vector, its FAISS id, and its place in a set, which nodes half fill.
        let each = self.dim * size_of::<f32>() + 3 * size_of::<RowId>();
        usize::try_from(self.index.ntotal())
            .unwrap_or(usize::MAX)
            .saturating_mul(each)
    }

    fn compact(&mut self) -> Result<(), IndexError> {
        let ids: Vec<Idx> = [&self.images, &self.texts]
            .into_iter()
            .flat_map(Members::removed_ids)
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        threads::apply_to_this_thread();
        IdSelector::batch(&ids)
            .and_then(|selector| self.index.remove_ids(&selector))
            .map_err(IndexError::faiss("remove vectors"))?;
        self.images.removed.clear();
        self.texts.removed.clear();
        Ok(())
    }

    fn save(&self, path: &Path) -> Result<(), IndexError> {
        write_index(&self.index, utf8(path)?).map_err(IndexError::faiss("write its file"))
    }
}

impl Members {
    fn new(kind: VectorKind) -> Self {
        Self {
            live: BTreeSet::new(),
            removed: HashSet::new(),
            selectors: Selectors {
                kind,
                idle: Mutex::default(),
            },
        }
    }

    fn removed_ids(&self) -> impl Iterator<Item = Idx> {
        let first = VectorId::range(self.selectors.kind).start;
        self.removed.iter().map(move |row| Idx::new(first + row.0))
    }
}

/// Search parameters that select one kind, kept for the next search.
///
/// FAISS writes into them during a search, so no two searches share one; and it never frees
/// the selector inside, so making one for each search would leak.
struct Selectors {
    kind: VectorKind,
    idle: Mutex<Vec<SearchParameters>>,
}

impl Selectors {
    fn take(&self) -> Result<SearchParameters, IndexError> {
        if let Some(idle) = self.idle.lock().pop() {
            return Ok(idle);
        }
        let ids = VectorId::range(self.kind);
        IdSelector::range(Idx::new(ids.start), Idx::new(ids.end))
            .and_then(SearchParameters::new)
            .map_err(IndexError::faiss("select one kind of vectors"))
    }

    fn give_back(&self, parameters: SearchParameters) {
        self.idle.lock().push(parameters);
    }
}

/// FAISS takes paths as C strings of UTF-8.
fn utf8(path: &Path) -> Result<&str, IndexError> {
    path.to_str().ok_or_else(|| {
        IndexError::io("name to FAISS", path)(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "the path is not UTF-8",
        ))
    })
}
