//! The C interface of `native/*.cpp`: structures that both sides share, and the declarations of
//! the functions. Only its parent calls them.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;

use crate::error::IndexError;

const MESSAGE_BYTES: usize = 512;

/// A position in a segment and the inner product of its vector with the query.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C)]
pub(in crate::vectors) struct Hit {
    pub score: f32,
    pub position: u32,
}

/// One stage of a graph traversal. Each stage is wider than the one before and extends the list
/// of hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(in crate::vectors) struct Stage {
    /// Candidates that the traversal keeps.
    pub ef: usize,
    /// How many of these candidates that are not in the list yet are ranked by full vectors.
    pub ranked: usize,
    /// Length of the list after the stage.
    pub depth: usize,
}

/// F32Buffer of comparisons between vectors and queries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Compared {
    /// By 8-bit codes, in graph traversals.
    pub walked: usize,
    /// By 8-bit codes, in scans.
    pub scanned: usize,
    /// By full vectors.
    pub vectors: usize,
}

/// An index of the C++ side.
#[repr(C)]
pub(super) struct RawIndex {
    _opaque: [u8; 0],
}

/// Vectors that outlive the call, and the index made of them.
#[repr(C)]
pub(super) struct RawVectors {
    pub(super) vectors: *const f32,
    /// Codes and scales; null where the index has none.
    pub(super) codes: *const u8,
    pub(super) count: usize,
    pub(super) dim: usize,
}

/// Called during a build with the number of vectors done; false cancels the build.
pub(super) type RecordProgress = unsafe extern "C" fn(*mut c_void, usize) -> bool;

#[repr(C)]
pub(super) struct RawProgress {
    pub(super) record: RecordProgress,
    pub(super) context: *mut c_void,
}

#[repr(C)]
pub(super) struct RawGraphBuild {
    pub(super) vectors: RawVectors,
    pub(super) progress: RawProgress,
    pub(super) links: c_int,
    pub(super) ef_construction: c_int,
    /// File of a graph over the first `base_count` vectors that is to be extended, or null.
    pub(super) base: *const c_char,
    pub(super) base_count: usize,
}

#[repr(C)]
pub(super) struct RawListsBuild {
    pub(super) vectors: RawVectors,
    pub(super) progress: RawProgress,
    pub(super) lists: usize,
    pub(super) subquantizers: usize,
}

/// Which positions a search may return.
#[repr(C)]
pub(super) struct RawFilter {
    pub(super) live: *const u64,
    pub(super) rows: *const u64,
    pub(super) contains: Option<unsafe extern "C" fn(*const c_void, u64) -> bool>,
    pub(super) within: *const c_void,
}

#[repr(C)]
pub(super) struct RawWalk {
    pub(super) query: *const f32,
    pub(super) stages: *const Stage,
    pub(super) stage_count: usize,
    pub(super) budget: usize,
    pub(super) filter: RawFilter,
}

#[repr(C)]
pub(super) struct RawProbe {
    pub(super) query: *const f32,
    pub(super) wanted: usize,
    pub(super) ranked: usize,
    pub(super) probed: usize,
    pub(super) filter: RawFilter,
}

/// The positions that a scan reads, in any order.
#[repr(C)]
pub(super) struct RawPositions {
    pub(super) query: *const f32,
    pub(super) positions: *const u32,
    pub(super) count: usize,
    pub(super) wanted: usize,
    /// The row of every position of the segment.
    pub(super) rows: *const u64,
}

/// The output of a search: room for `wanted` hits and how many were written.
#[repr(C)]
pub(super) struct RawHits {
    pub(super) hits: *mut Hit,
    pub(super) found: usize,
}

unsafe extern "C" {
    pub(super) fn clipdb_build_graph(
        build: *const RawGraphBuild,
        out: *mut *mut RawIndex,
        message: *mut c_char,
    ) -> c_int;
    pub(super) fn clipdb_build_lists(
        build: *const RawListsBuild,
        out: *mut *mut RawIndex,
        message: *mut c_char,
    ) -> c_int;
    pub(super) fn clipdb_write(
        index: *const RawIndex,
        path: *const c_char,
        message: *mut c_char,
    ) -> c_int;
    pub(super) fn clipdb_open(
        path: *const c_char,
        vectors: *const RawVectors,
        out: *mut *mut RawIndex,
        message: *mut c_char,
    ) -> c_int;
    pub(super) fn clipdb_walk(
        index: *const RawIndex,
        walk: *const RawWalk,
        out: *mut RawHits,
        compared: *mut Compared,
        message: *mut c_char,
    ) -> c_int;
    pub(super) fn clipdb_probe(
        index: *const RawIndex,
        probe: *const RawProbe,
        out: *mut RawHits,
        share: *mut f32,
        compared: *mut Compared,
        message: *mut c_char,
    ) -> c_int;
    pub(super) fn clipdb_scan_codes(
        index: *const RawIndex,
        scan: *const RawPositions,
        out: *mut RawHits,
        compared: *mut Compared,
        message: *mut c_char,
    ) -> c_int;
    pub(super) fn clipdb_scan(
        vectors: *const RawVectors,
        query: *const f32,
        wanted: usize,
        filter: *const RawFilter,
        out: *mut RawHits,
        message: *mut c_char,
    ) -> c_int;
    pub(super) fn clipdb_scan_positions(
        vectors: *const RawVectors,
        scan: *const RawPositions,
        out: *mut RawHits,
        message: *mut c_char,
    ) -> c_int;
    pub(super) fn clipdb_free(index: *mut RawIndex);
}

/// Calls a function of the C++ side, which writes an error's message into the buffer that it
/// gets and returns 0 on success.
pub(super) fn call(
    doing: &'static str,
    work: impl FnOnce(*mut c_char) -> c_int,
) -> Result<(), IndexError> {
    let mut message = [0u8; MESSAGE_BYTES];
    if work(message.as_mut_ptr().cast()) == 0 {
        return Ok(());
    }
    let reason = CStr::from_bytes_until_nul(&message).map_or_else(
        |_| "FAISS gave no reason".to_owned(),
        |reason| reason.to_string_lossy().into_owned(),
    );
    Err(IndexError::Faiss { doing, reason })
}

/// Calls a search with room for `wanted` hits.
pub(super) fn collect(
    doing: &'static str,
    wanted: usize,
    search: impl FnOnce(&mut RawHits, *mut c_char) -> c_int,
) -> Result<Vec<Hit>, IndexError> {
    let mut hits = vec![Hit::default(); wanted];
    let mut out = RawHits {
        hits: hits.as_mut_ptr(),
        found: 0,
    };
    call(doing, |message| search(&mut out, message))?;
    hits.truncate(out.found);
    Ok(hits)
}

/// FAISS takes paths as C strings.
pub(super) fn c_path(path: &Path) -> Result<CString, IndexError> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes())
        .map_err(|error| IndexError::io("pass to FAISS", path)(error.into()))
}

pub(super) fn native_int(number: usize) -> c_int {
    c_int::try_from(number).unwrap_or(c_int::MAX)
}
