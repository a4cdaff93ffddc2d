//! FAISS behind a safe type: builds, opens and searches one segment's index, and scans vectors
//! exactly. The C++ side is in the same folder. Only this module and `codes.rs` call it.
#![allow(unsafe_code)]

mod ffi;
mod scan;
#[cfg(test)]
mod tests;

use std::ffi::c_void;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

// Linked for the FAISS that the C++ side calls.
use faiss_sys as _;

use self::ffi::{
    RawFilter, RawGraphBuild, RawIndex, RawListsBuild, RawPositions, RawProbe, RawProgress,
    RawVectors, RawWalk, c_path, call, collect, native_int,
};
use super::f32_buffer::F32Buffer;
use super::{codes, threads};
use crate::error::IndexError;
use crate::row::RowId;
use crate::row_set::RowSet;

pub use ffi::Compared;
pub(super) use ffi::{Hit, Stage};
pub(super) use scan::{scan, scan_positions};

/// Which positions a search may return.
#[derive(Clone, Copy)]
pub(super) struct Filter<'a> {
    /// One bit for each position that is not removed; `None` when no position is removed.
    pub live: Option<&'a [AtomicU64]>,
    /// The row of each position. It also orders equal scores.
    pub rows: &'a [u64],
    /// The rows that may be returned; `None` for all.
    pub within: Option<&'a RowSet>,
}

/// Parameters of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GraphShape {
    pub links: usize,
    pub ef_construction: usize,
}

/// A stored graph that a build extends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BaseGraph<'a> {
    pub path: &'a Path,
    /// The graph covers this many vectors, which are the first ones of the build.
    pub count: usize,
}

/// Parameters of an inverted file over product codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListsShape {
    pub lists: usize,
    pub subquantizers: usize,
}

/// How far a search of an inverted file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProbeDepth {
    /// Hits to return.
    pub wanted: usize,
    /// Candidates by product codes that full vectors rank.
    pub ranked: usize,
    /// Lists to read, those nearest to the query.
    pub probed: usize,
}

/// The approximate index of one segment.
pub(super) struct NativeIndex {
    pointer: NonNull<RawIndex>,
    /// Full vectors, which the pointer borrows.
    vectors: Arc<F32Buffer>,
    /// Codes of a graph's vectors, which the pointer borrows.
    codes: Option<Arc<F32Buffer>>,
    count: usize,
    dim: usize,
}

// SAFETY: a FAISS index that nothing changes may be searched, moved and freed by any thread;
// `build_*` and `open` return it finished, and no method changes it.
unsafe impl Send for NativeIndex {}
// SAFETY: as above; a search keeps its state on its own stack or in its thread.
unsafe impl Sync for NativeIndex {}

impl NativeIndex {
    /// Builds a graph over all of `vectors` from their `codes`, or extends `base` to all of them.
    /// `record_progress` gets the number of vectors done and cancels the build by returning
    /// false.
    pub(super) fn build_graph(
        vectors: Arc<F32Buffer>,
        codes: Arc<F32Buffer>,
        dim: usize,
        shape: GraphShape,
        base: Option<BaseGraph<'_>>,
        mut record_progress: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Self, IndexError> {
        let raw = raw_vectors(&vectors, Some(&codes), dim)?;
        let base_path = base.map(|base| c_path(base.path)).transpose()?;
        let build = RawGraphBuild {
            vectors: raw,
            progress: progress(&mut record_progress),
            links: native_int(shape.links),
            ef_construction: native_int(shape.ef_construction),
            base: base_path.as_ref().map_or(ptr::null(), |path| path.as_ptr()),
            base_count: base.map_or(0, |base| base.count),
        };
        let mut out = ptr::null_mut();
        call("build a graph", |message| {
            // SAFETY: `raw_vectors` checked the lengths, and `Self` keeps both arrays; the path is
            // a C string or null; the callback outlives the call, which alone uses its context;
            // `out` is written on success.
            unsafe { ffi::clipdb_build_graph(&build, &mut out, message) }
        })?;
        Self::own(out, vectors, Some(codes), dim)
    }

    /// Builds an inverted file over product codes of all of `vectors`.
    pub(super) fn build_lists(
        vectors: Arc<F32Buffer>,
        dim: usize,
        shape: ListsShape,
        mut record_progress: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Self, IndexError> {
        let build = RawListsBuild {
            vectors: raw_vectors(&vectors, None, dim)?,
            progress: progress(&mut record_progress),
            lists: shape.lists,
            subquantizers: shape.subquantizers,
        };
        let mut out = ptr::null_mut();
        call("build an inverted file", |message| {
            // SAFETY: as in `build_graph`.
            unsafe { ffi::clipdb_build_lists(&build, &mut out, message) }
        })?;
        Self::own(out, vectors, None, dim)
    }

    /// Maps the file that [`NativeIndex::write`] wrote; a graph needs its codes. The caller has
    /// verified the file's checksum.
    pub(super) fn open(
        path: &Path,
        vectors: Arc<F32Buffer>,
        codes: Option<Arc<F32Buffer>>,
        dim: usize,
    ) -> Result<Self, IndexError> {
        let raw = raw_vectors(&vectors, codes.as_deref(), dim)?;
        let path = c_path(path)?;
        let mut out = ptr::null_mut();
        call("read its file", |message| {
            // SAFETY: the path is a C string; vectors and codes as in `build_graph`.
            unsafe { ffi::clipdb_open(path.as_ptr(), &raw, &mut out, message) }
        })?;
        Self::own(out, vectors, codes, dim)
    }

    /// Writes everything except vectors and codes; the caller makes the file durable.
    pub(super) fn write(&self, path: &Path) -> Result<(), IndexError> {
        let path = c_path(path)?;
        call("write its file", |message| {
            // SAFETY: a live index and a C string.
            unsafe { ffi::clipdb_write(self.pointer.as_ptr(), path.as_ptr(), message) }
        })
    }

    /// Traverses a graph and returns the list of hits that `stages` make: fewer where the graph
    /// leads to no more, or where a stage would compare more than `budget` codes. The list for
    /// fewer stages is a prefix of the list for more.
    pub(super) fn walk(
        &self,
        query: &[f32],
        stages: &[Stage],
        budget: usize,
        filter: Filter<'_>,
        compared: &mut Compared,
    ) -> Result<Vec<Hit>, IndexError> {
        assert_eq!(query.len(), self.dim);
        let walk = RawWalk {
            query: query.as_ptr(),
            stages: stages.as_ptr(),
            stage_count: stages.len(),
            budget,
            filter: filter.raw(self.count)?,
        };
        let longest = stages.last().map_or(0, |stage| stage.depth);
        collect("search", longest, |out, message| {
            // SAFETY: a live index; the query has `dim` numbers; the output has room for the
            // last stage, which is the longest; the parts of the filter outlive the call and
            // cover all positions.
            unsafe { ffi::clipdb_walk(self.pointer.as_ptr(), &walk, out, compared, message) }
        })
    }

    /// The best positions in the lists nearest to the query; fewer where the lists hold no more. Also
    /// returns the share of the compared vectors that the filter accepts.
    pub(super) fn probe(
        &self,
        query: &[f32],
        depth: ProbeDepth,
        filter: Filter<'_>,
        compared: &mut Compared,
    ) -> Result<(Vec<Hit>, f32), IndexError> {
        assert_eq!(query.len(), self.dim);
        let wanted = depth.wanted.min(self.count);
        if wanted == 0 {
            return Ok((Vec::new(), 1.0));
        }
        threads::apply_to_this_thread();
        let probe = RawProbe {
            query: query.as_ptr(),
            wanted,
            ranked: depth.ranked.min(self.count),
            probed: depth.probed.clamp(1, self.count),
            filter: filter.raw(self.count)?,
        };
        let mut share = 1.0;
        let index = self.pointer.as_ptr();
        let hits = collect("search", wanted, |out, message| {
            // SAFETY: as in `walk`, with room for `wanted`.
            unsafe { ffi::clipdb_probe(index, &probe, out, &mut share, compared, message) }
        })?;
        Ok((hits, share))
    }

    /// The best `wanted` of the vectors at `positions`: codes propose candidates, full vectors
    /// rank them. The list for a smaller `wanted` is a prefix of the list for a larger one.
    pub(super) fn scan_codes(
        &self,
        query: &[f32],
        positions: &[u32],
        wanted: usize,
        rows: &[u64],
        compared: &mut Compared,
    ) -> Result<Vec<Hit>, IndexError> {
        assert!(self.codes.is_some());
        let wanted = wanted.min(positions.len());
        let scan = raw_positions(query, self.dim, positions, wanted, rows, self.count);
        if wanted == 0 {
            return Ok(Vec::new());
        }
        collect("scan", wanted, |out, message| {
            // SAFETY: a live index with codes; `raw_positions` checked lengths and positions;
            // the output has room for `wanted`.
            unsafe { ffi::clipdb_scan_codes(self.pointer.as_ptr(), &scan, out, compared, message) }
        })
    }

    /// The codes of a graph's vectors.
    pub(super) fn codes(&self) -> Option<&F32Buffer> {
        self.codes.as_deref()
    }

    fn own(
        pointer: *mut RawIndex,
        vectors: Arc<F32Buffer>,
        codes: Option<Arc<F32Buffer>>,
        dim: usize,
    ) -> Result<Self, IndexError> {
        let pointer = NonNull::new(pointer).ok_or_else(|| IndexError::Faiss {
            doing: "make an index",
            reason: "it returned no index".to_owned(),
        })?;
        Ok(Self {
            pointer,
            count: vectors.as_slice().len() / dim,
            vectors,
            codes,
            dim,
        })
    }
}

impl Drop for NativeIndex {
    fn drop(&mut self) {
        // SAFETY: the C++ side made it, and it is freed once; `vectors` and `codes` are dropped
        // after this.
        unsafe { ffi::clipdb_free(self.pointer.as_ptr()) }
        let _ = (&self.vectors, &self.codes);
    }
}

impl Filter<'_> {
    fn raw(&self, count: usize) -> Result<RawFilter, IndexError> {
        let short =
            self.live.is_some_and(|live| live.len() * 64 < count) || self.rows.len() < count;
        if short {
            return Err(IndexError::Faiss {
                doing: "filter",
                reason: "the filter covers fewer vectors than the index holds".to_owned(),
            });
        }
        if let Some(within) = self.within {
            // A graph's vectors are visited in no order.
            within.prepare_lookups();
        }
        Ok(RawFilter {
            live: self.live.map_or(ptr::null(), |live| live.as_ptr().cast()),
            rows: self.rows.as_ptr(),
            contains: self.within.map(|_| contains_row as _),
            within: self
                .within
                .map_or(ptr::null(), |rows| ptr::from_ref(rows).cast()),
        })
    }
}

/// The C++ side's view of vectors and codes, whose lengths it checks.
fn raw_vectors(
    vectors: &F32Buffer,
    codes: Option<&F32Buffer>,
    dim: usize,
) -> Result<RawVectors, IndexError> {
    let count = vectors.as_slice().len() / dim;
    if let Some(codes) = codes {
        codes::check(codes, count, dim)?;
    }
    Ok(RawVectors {
        vectors: vectors.as_slice().as_ptr(),
        codes: codes.map_or(ptr::null(), |codes| codes.as_bytes().as_ptr()),
        count,
        dim,
    })
}

/// The C++ side's view of a scan of `positions` in a segment of `count` vectors.
fn raw_positions(
    query: &[f32],
    dim: usize,
    positions: &[u32],
    wanted: usize,
    rows: &[u64],
    count: usize,
) -> RawPositions {
    assert!(query.len() == dim && rows.len() == count);
    assert!(positions.iter().all(|at| (*at as usize) < count));
    RawPositions {
        query: query.as_ptr(),
        positions: positions.as_ptr(),
        count: positions.len(),
        wanted,
        rows: rows.as_ptr(),
    }
}

fn progress(record: &mut &mut dyn FnMut(usize) -> bool) -> RawProgress {
    RawProgress {
        record: record_progress,
        context: ptr::from_mut(record).cast(),
    }
}

unsafe extern "C" fn record_progress(context: *mut c_void, done: usize) -> bool {
    // SAFETY: `context` is the `&mut &mut dyn FnMut` of the build that runs on this thread, and
    // nothing else uses it during the call.
    let record = unsafe { &mut *context.cast::<&mut dyn FnMut(usize) -> bool>() };
    record(done)
}

unsafe extern "C" fn contains_row(within: *const c_void, row: u64) -> bool {
    // SAFETY: `within` is the set of the filter of the search that runs, which outlives it.
    let within = unsafe { &*within.cast::<RowSet>() };
    within.contains(RowId(row))
}
