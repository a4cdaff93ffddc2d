//! The manifest's record of a segment. The names of the fields are part of the format on disk.

use serde::{Deserialize, Serialize};

use super::settings::BuiltKind;

/// A segment on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Names its files.
    pub number: u64,
    /// Vectors in its files, including removed ones.
    pub held: usize,
    /// How many of them were removed when the manifest was written.
    pub dead: usize,
    /// The smallest and the largest row: if a file is corrupt, the rows between may be lost.
    pub first_row: u64,
    pub last_row: u64,
    pub vectors_crc: u32,
    pub ids_crc: u32,
    /// `None` where the segment is scanned.
    pub index: Option<IndexEntry>,
}

/// The approximate index of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IndexEntry {
    pub kind: BuiltKind,
    /// Lists of an inverted file, otherwise 0.
    pub lists: usize,
    pub bytes: u64,
    pub crc: u32,
    /// Checksum of a graph's codes.
    pub codes_crc: Option<u32>,
}
