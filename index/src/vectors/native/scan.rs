//! Exact search: every vector of a segment is compared, or those at some positions.

use super::ffi::{self, collect};
use super::{Filter, Hit, raw_positions, raw_vectors};
use crate::error::IndexError;
use crate::vectors::f32_buffer::F32Buffer;

/// The best `wanted` positions, best first; equal scores by row.
pub(in crate::vectors) fn scan(
    vectors: &F32Buffer,
    dim: usize,
    query: &[f32],
    wanted: usize,
    filter: Filter<'_>,
) -> Result<Vec<Hit>, IndexError> {
    assert_eq!(query.len(), dim);
    let vectors = raw_vectors(vectors, None, dim)?;
    let wanted = wanted.min(vectors.count);
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let filter = filter.raw(vectors.count)?;
    collect("scan", wanted, |out, message| {
        // SAFETY: `vectors` holds `count` times `dim` numbers, the query `dim`; the output has
        // room for `wanted`; the parts of the filter outlive the call and cover all positions.
        unsafe { ffi::clipdb_scan(&vectors, query.as_ptr(), wanted, &filter, out, message) }
    })
}

/// Like [`scan`], but compares only the vectors at `positions`.
pub(in crate::vectors) fn scan_positions(
    vectors: &F32Buffer,
    dim: usize,
    query: &[f32],
    positions: &[u32],
    wanted: usize,
    rows: &[u64],
) -> Result<Vec<Hit>, IndexError> {
    let vectors = raw_vectors(vectors, None, dim)?;
    let wanted = wanted.min(positions.len());
    let scan = raw_positions(query, dim, positions, wanted, rows, vectors.count);
    if wanted == 0 {
        return Ok(Vec::new());
    }
    collect("scan", wanted, |out, message| {
        // SAFETY: `raw_positions` checked lengths and positions; the output has room for
        // `wanted`.
        unsafe { ffi::clipdb_scan_positions(&vectors, &scan, out, message) }
    })
}
