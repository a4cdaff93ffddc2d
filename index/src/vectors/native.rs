//! FAISS behind a safe type: building, opening and searching one segment's index, and exact
//! scans. `native/` holds the C++ side, of which `codes.rs` calls the rest.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

// Linked for the FAISS that the C++ side calls.
use faiss_sys as _;

use super::mapped::Numbers;
use super::{codes, threads};
use crate::error::IndexError;
use crate::row_set::RowSet;

const MESSAGE_BYTES: usize = 512;

/// A position in a segment and the query's inner product with the vector there.
pub(super) type Found = (u32, f32);

/// What a search may answer with.
#[derive(Clone, Copy)]
pub(super) struct Filter<'a> {
    /// Bits of the positions that are not removed; `None` when all are.
    pub live: Option<&'a [AtomicU64]>,
    /// The row of each position, which also orders equal scores.
    pub rows: &'a [u64],
    /// The rows that may be answered; `None` when all may.
    pub within: Option<&'a RowSet>,
}

/// Part of the list that a walk through a graph makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Stretch {
    /// Candidates that the walk keeps.
    pub ef: usize,
    /// Of these, what is not in the list yet, so many are ranked by the full vectors.
    pub ranked: usize,
    /// How long the list then is.
    pub depth: usize,
}

/// Vectors that searches compared with their queries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Compared {
    /// By 8-bit codes, on walks through graphs.
    pub walked: usize,
    /// By 8-bit codes, in scans.
    pub scanned: usize,
    /// By the full vectors.
    pub vectors: usize,
}

/// How a graph is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GraphShape {
    pub links: usize,
    pub ef_construction: usize,
}

/// How an inverted file over product codes is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListsShape {
    pub lists: usize,
    pub subquantizers: usize,
}

/// One segment's approximate index.
pub(super) struct NativeIndex {
    pointer: NonNull<RawIndex>,
    /// What ranks in the end; it must outlive the pointer.
    vectors: Arc<Numbers>,
    /// What a graph is walked by; it must outlive the pointer.
    codes: Option<Arc<Numbers>>,
    count: usize,
    dim: usize,
}

// SAFETY: a FAISS index that nothing changes may be searched, moved and freed by any thread;
// `build` and `open` return it finished, and no method changes it.
unsafe impl Send for NativeIndex {}
// SAFETY: as above; `clipdb_search` takes its parameters by call.
unsafe impl Sync for NativeIndex {}

impl NativeIndex {
    /// A graph over all of `vectors`, by their `codes`. With `base`, continues the graph in that
    /// file, which is over the first so many vectors. `go_on` is asked now and then with how many
    /// are done.
    pub(super) fn build_graph(
        vectors: Arc<Numbers>,
        codes: Arc<Numbers>,
        dim: usize,
        shape: GraphShape,
        base: Option<(&Path, usize)>,
        go_on: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Self, IndexError> {
        let count = vectors.as_slice().len() / dim;
        codes::check(&codes, count, dim)?;
        let base_path = base.map(|(path, _)| c_path(path)).transpose()?;
        let mut go_on = go_on;
        let mut out = ptr::null_mut();
        call("build a graph", |message| {
            // SAFETY: `vectors` holds `count` times `dim` numbers, `codes` a code and a scale for
            // each, and `Self` keeps both; the path is a C string or null; `go_on` outlives the call, which is the only user of
            // the context; `out` is written on success.
            unsafe {
                clipdb_build_graph(
                    vectors.as_slice().as_ptr(),
                    codes.as_bytes().as_ptr(),
                    count,
                    dim,
                    native_int(shape.links),
                    native_int(shape.ef_construction),
                    base_path.as_ref().map_or(ptr::null(), |path| path.as_ptr()),
                    base.map_or(0, |(_, count)| count),
                    ask,
                    ptr::from_mut(&mut go_on).cast(),
                    &mut out,
                    message,
                )
            }
        })?;
        Self::own(out, vectors, Some(codes), dim)
    }

    /// Lists of product codes of all of `vectors`.
    pub(super) fn build_lists(
        vectors: Arc<Numbers>,
        dim: usize,
        shape: ListsShape,
        go_on: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Self, IndexError> {
        let count = vectors.as_slice().len() / dim;
        let mut go_on = go_on;
        let mut out = ptr::null_mut();
        call("build lists of codes", |message| {
            // SAFETY: as in `build_graph`.
            unsafe {
                clipdb_build_lists(
                    vectors.as_slice().as_ptr(),
                    count,
                    dim,
                    shape.lists,
                    shape.subquantizers,
                    ask,
                    ptr::from_mut(&mut go_on).cast(),
                    &mut out,
                    message,
                )
            }
        })?;
        Self::own(out, vectors, None, dim)
    }

    /// Maps what [`NativeIndex::write`] wrote, a graph with its codes. The caller has verified
    /// the file's checksum.
    pub(super) fn open(
        path: &Path,
        vectors: Arc<Numbers>,
        codes: Option<Arc<Numbers>>,
        dim: usize,
    ) -> Result<Self, IndexError> {
        let count = vectors.as_slice().len() / dim;
        if let Some(codes) = &codes {
            codes::check(codes, count, dim)?;
        }
        let path = c_path(path)?;
        let mut out = ptr::null_mut();
        call("read its file", |message| {
            // SAFETY: the path is a C string; `vectors` and `codes` as in `build_graph`, or null.
            unsafe {
                clipdb_open(
                    path.as_ptr(),
                    vectors.as_slice().as_ptr(),
                    codes
                        .as_ref()
                        .map_or(ptr::null(), |codes| codes.as_bytes().as_ptr()),
                    count,
                    dim,
                    &mut out,
                    message,
                )
            }
        })?;
        Self::own(out, vectors, codes, dim)
    }

    /// Writes everything but vectors and codes; the caller makes the file durable.
    pub(super) fn write(&self, path: &Path) -> Result<(), IndexError> {
        let path = c_path(path)?;
        call("write its file", |message| {
            // SAFETY: a live index and a C string.
            unsafe { clipdb_write(self.pointer.as_ptr(), path.as_ptr(), message) }
        })
    }

    /// The list that a walk through a graph makes of `stretches`, the first `wanted` of it: fewer
    /// where the graph leads to no more, or where a stretch would compare more than `budget`
    /// codes. However many stretches there are, the list begins alike.
    pub(super) fn walk(
        &self,
        query: &[f32],
        stretches: &[Stretch],
        budget: usize,
        filter: Filter<'_>,
        compared: &mut Compared,
    ) -> Result<Vec<Found>, IndexError> {
        debug_assert_eq!(query.len(), self.dim);
        let longest = stretches.last().map_or(0, |stretch| stretch.depth);
        let filter = filter.raw(self.count)?;
        collect("search", longest, |positions, scores, found, message| {
            // SAFETY: a live index; the query has `dim` numbers; both outputs have room for the
            // longest stretch, and the list never gets longer; the filter's parts outlive the
            // call and cover all positions.
            unsafe {
                clipdb_walk(
                    self.pointer.as_ptr(),
                    query.as_ptr(),
                    stretches.as_ptr(),
                    stretches.len(),
                    budget,
                    &filter,
                    positions,
                    scores,
                    found,
                    compared,
                    message,
                )
            }
        })
    }

    /// About the best `wanted` positions of the `probed` lists that are nearest; fewer where they
    /// hold no more. The best `ranked` by product codes are compared by their full vectors. Also
    /// the share of the vectors come across that the filter lets pass.
    pub(super) fn probe(
        &self,
        query: &[f32],
        wanted: usize,
        ranked: usize,
        probed: usize,
        filter: Filter<'_>,
        compared: &mut Compared,
    ) -> Result<(Vec<Found>, f32), IndexError> {
        debug_assert_eq!(query.len(), self.dim);
        let wanted = wanted.min(self.count);
        if wanted == 0 {
            return Ok((Vec::new(), 1.0));
        }
        let mut share = 1.0;
        threads::apply_to_this_thread();
        let filter = filter.raw(self.count)?;
        let found = collect("search", wanted, |positions, scores, found, message| {
            // SAFETY: as in `walk`, with room for `wanted`.
            unsafe {
                clipdb_probe(
                    self.pointer.as_ptr(),
                    query.as_ptr(),
                    wanted,
                    ranked.min(self.count),
                    probed.clamp(1, self.count),
                    &filter,
                    positions,
                    scores,
                    found,
                    &mut share,
                    compared,
                    message,
                )
            }
        })?;
        Ok((found, share))
    }

    /// The best `wanted` of the vectors at `scanned`: a graph's codes choose what the full vectors
    /// rank. Whatever is wanted, the list begins alike.
    pub(super) fn scan_codes(
        &self,
        query: &[f32],
        scanned: &[u32],
        wanted: usize,
        rows: &[u64],
        compared: &mut Compared,
    ) -> Result<Vec<Found>, IndexError> {
        assert!(query.len() == self.dim && rows.len() == self.count && self.codes.is_some());
        assert!(scanned.iter().all(|at| (*at as usize) < self.count));
        let wanted = wanted.min(scanned.len());
        if wanted == 0 {
            return Ok(Vec::new());
        }
        collect("scan", wanted, |positions, scores, found, message| {
            // SAFETY: a live index with codes; lengths and positions were checked above; both
            // outputs have room for `wanted`.
            unsafe {
                clipdb_scan_codes(
                    self.pointer.as_ptr(),
                    query.as_ptr(),
                    scanned.as_ptr(),
                    scanned.len(),
                    wanted,
                    rows.as_ptr(),
                    positions,
                    scores,
                    found,
                    compared,
                    message,
                )
            }
        })
    }

    /// What it is walked by, of a graph.
    pub(super) fn codes(&self) -> Option<&Numbers> {
        self.codes.as_deref()
    }

    fn own(
        pointer: *mut RawIndex,
        vectors: Arc<Numbers>,
        codes: Option<Arc<Numbers>>,
        dim: usize,
    ) -> Result<Self, IndexError> {
        let pointer = NonNull::new(pointer).ok_or_else(|| IndexError::Faiss {
            doing: "make an index",
            reason: "it answered with nothing".to_owned(),
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
        // SAFETY: made by the C++ side, freed once; `vectors` and `codes` are dropped after
        // this.
        unsafe { clipdb_free(self.pointer.as_ptr()) }
        let _ = (&self.vectors, &self.codes);
    }
}

/// The best `wanted` positions of `vectors`, exactly; best first, of equal ones the earlier row.
pub(super) fn scan(
    vectors: &[f32],
    dim: usize,
    query: &[f32],
    wanted: usize,
    filter: Filter<'_>,
) -> Result<Vec<Found>, IndexError> {
    debug_assert_eq!(query.len(), dim);
    let count = vectors.len() / dim;
    let wanted = wanted.min(count);
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let filter = filter.raw(count)?;
    collect("scan", wanted, |positions, scores, found, message| {
        // SAFETY: `vectors` holds `count` times `dim` numbers, the query `dim`; outputs and
        // filter as in `NativeIndex::search`.
        unsafe {
            clipdb_scan(
                vectors.as_ptr(),
                count,
                dim,
                query.as_ptr(),
                wanted,
                &filter,
                positions,
                scores,
                found,
                message,
            )
        }
    })
}

/// The same of the vectors at `scanned` alone.
pub(super) fn scan_some(
    vectors: &[f32],
    dim: usize,
    query: &[f32],
    scanned: &[u32],
    wanted: usize,
    rows: &[u64],
) -> Result<Vec<Found>, IndexError> {
    let count = vectors.len() / dim;
    assert!(query.len() == dim && rows.len() == count);
    assert!(scanned.iter().all(|at| (*at as usize) < count));
    let wanted = wanted.min(scanned.len());
    if wanted == 0 {
        return Ok(Vec::new());
    }
    collect("scan", wanted, |positions, scores, found, message| {
        // SAFETY: lengths and positions were checked above; both outputs have room for `wanted`.
        unsafe {
            clipdb_scan_some(
                vectors.as_ptr(),
                dim,
                query.as_ptr(),
                scanned.as_ptr(),
                scanned.len(),
                wanted,
                rows.as_ptr(),
                positions,
                scores,
                found,
                message,
            )
        }
    })
}

impl Filter<'_> {
    fn raw(&self, count: usize) -> Result<RawFilter, IndexError> {
        let short =
            self.live.is_some_and(|live| live.len() * 64 < count) || self.rows.len() < count;
        if short {
            return Err(IndexError::Faiss {
                doing: "filter",
                reason: "the filter covers fewer vectors than there are".to_owned(),
            });
        }
        Ok(RawFilter {
            live: self.live.map_or(ptr::null(), |live| live.as_ptr().cast()),
            rows: self.rows.as_ptr(),
            within: self
                .within
                .map_or(ptr::null(), |rows| rows.words().as_ptr()),
            within_words: self.within.map_or(0, |rows| rows.words().len()),
        })
    }
}

/// Runs a search into vectors of `wanted` places.
fn collect(
    doing: &'static str,
    wanted: usize,
    search: impl FnOnce(*mut i64, *mut f32, *mut usize, *mut c_char) -> c_int,
) -> Result<Vec<Found>, IndexError> {
    let mut positions = vec![-1i64; wanted];
    let mut scores = vec![0.0f32; wanted];
    let mut found = 0;
    call(doing, |message| {
        search(
            positions.as_mut_ptr(),
            scores.as_mut_ptr(),
            &mut found,
            message,
        )
    })?;
    Ok(positions
        .into_iter()
        .zip(scores)
        .take(found)
        .filter_map(|(position, score)| Some((u32::try_from(position).ok()?, score)))
        .collect())
}

fn call(doing: &'static str, work: impl FnOnce(*mut c_char) -> c_int) -> Result<(), IndexError> {
    let mut message = [0u8; MESSAGE_BYTES];
    if work(message.as_mut_ptr().cast()) == 0 {
        return Ok(());
    }
    let reason = CStr::from_bytes_until_nul(&message).map_or_else(
        |_| "it gave no reason".to_owned(),
        |reason| reason.to_string_lossy().into_owned(),
    );
    Err(IndexError::Faiss { doing, reason })
}

/// FAISS takes paths as C strings.
fn c_path(path: &Path) -> Result<CString, IndexError> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes())
        .map_err(|error| IndexError::io("name to FAISS", path)(error.into()))
}

fn native_int(number: usize) -> c_int {
    c_int::try_from(number).unwrap_or(c_int::MAX)
}

unsafe extern "C" fn ask(context: *mut c_void, done: usize) -> bool {
    // SAFETY: `context` is the `&mut &mut dyn FnMut` of the build that is running on this
    // thread, and nothing else uses it meanwhile.
    let go_on = unsafe { &mut *context.cast::<&mut dyn FnMut(usize) -> bool>() };
    go_on(done)
}

#[repr(C)]
struct RawIndex {
    _opaque: [u8; 0],
}

#[repr(C)]
struct RawFilter {
    live: *const u64,
    rows: *const u64,
    within: *const u64,
    within_words: usize,
}

type GoOn = unsafe extern "C" fn(*mut c_void, usize) -> bool;

unsafe extern "C" {
    fn clipdb_build_graph(
        vectors: *const f32,
        codes: *const u8,
        count: usize,
        dim: usize,
        links: c_int,
        ef_construction: c_int,
        base: *const c_char,
        base_count: usize,
        go_on: GoOn,
        context: *mut c_void,
        out: *mut *mut RawIndex,
        message: *mut c_char,
    ) -> c_int;
    fn clipdb_build_lists(
        vectors: *const f32,
        count: usize,
        dim: usize,
        lists: usize,
        subquantizers: usize,
        go_on: GoOn,
        context: *mut c_void,
        out: *mut *mut RawIndex,
        message: *mut c_char,
    ) -> c_int;
    fn clipdb_write(index: *const RawIndex, path: *const c_char, message: *mut c_char) -> c_int;
    fn clipdb_open(
        path: *const c_char,
        vectors: *const f32,
        codes: *const u8,
        count: usize,
        dim: usize,
        out: *mut *mut RawIndex,
        message: *mut c_char,
    ) -> c_int;
    fn clipdb_walk(
        index: *const RawIndex,
        query: *const f32,
        stretches: *const Stretch,
        count: usize,
        budget: usize,
        filter: *const RawFilter,
        positions: *mut i64,
        scores: *mut f32,
        found: *mut usize,
        compared: *mut Compared,
        message: *mut c_char,
    ) -> c_int;
    fn clipdb_probe(
        index: *const RawIndex,
        query: *const f32,
        wanted: usize,
        ranked: usize,
        nprobe: usize,
        filter: *const RawFilter,
        positions: *mut i64,
        scores: *mut f32,
        found: *mut usize,
        share: *mut f32,
        compared: *mut Compared,
        message: *mut c_char,
    ) -> c_int;
    fn clipdb_scan_codes(
        index: *const RawIndex,
        query: *const f32,
        scanned: *const u32,
        count: usize,
        wanted: usize,
        rows: *const u64,
        positions: *mut i64,
        scores: *mut f32,
        found: *mut usize,
        compared: *mut Compared,
        message: *mut c_char,
    ) -> c_int;
    fn clipdb_scan(
        vectors: *const f32,
        count: usize,
        dim: usize,
        query: *const f32,
        wanted: usize,
        filter: *const RawFilter,
        positions: *mut i64,
        scores: *mut f32,
        found: *mut usize,
        message: *mut c_char,
    ) -> c_int;
    fn clipdb_scan_some(
        vectors: *const f32,
        dim: usize,
        query: *const f32,
        scanned: *const u32,
        count: usize,
        wanted: usize,
        rows: *const u64,
        positions: *mut i64,
        scores: *mut f32,
        found: *mut usize,
        message: *mut c_char,
    ) -> c_int;
    fn clipdb_free(index: *mut RawIndex);
}

#[cfg(test)]
mod tests;
