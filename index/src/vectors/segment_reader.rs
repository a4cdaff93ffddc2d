//! Opens a segment's files and verifies their checksums.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::entry::{Entry, IndexEntry};
use super::f32_buffer::F32Buffer;
use super::files::{SegmentFiles, checksum};
use super::live::Live;
use super::members::Members;
use super::native::NativeIndex;
use super::segment::{BuiltIndex, Segment};

/// A segment that could be opened.
pub(super) struct OpenedSegment {
    pub segment: Segment,
    /// Why its index was left out. The segment is scanned until the index is rebuilt.
    pub index_lost: Option<String>,
    /// Whether it has all the removals that the manifest counted.
    pub removals_known: bool,
}

/// Whether [`verify_vectors`] read everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verified {
    Intact,
    /// The caller asked to stop.
    Cancelled,
}

/// Opens a segment and verifies all checksums except those of full vectors and codes: reading
/// all of these would take long, and [`verify_vectors`] does it. Only their lengths are checked.
pub(super) fn open(folder: &Path, dim: usize, entry: &Entry) -> Result<OpenedSegment, String> {
    let files = SegmentFiles::new(folder, entry.number);
    let failed =
        |what: &str, error: io::Error| format!("segment {}: {what}: {error}", entry.number);
    let wrong = |what: &str| format!("segment {}: {what}", entry.number);
    let ids = fs::read(files.ids()).map_err(|error| failed("the rows", error))?;
    if crc32fast::hash(&ids) != entry.ids_crc || ids.len() != entry.held * 10 {
        return Err(wrong("the checksum of its rows"));
    }
    let (rows, passages) = ids.split_at(entry.held * 8);
    let rows = rows
        .as_chunks::<8>()
        .0
        .iter()
        .map(|row| u64::from_le_bytes(*row));
    let passages = passages
        .as_chunks::<2>()
        .0
        .iter()
        .map(|passage| u16::from_le_bytes(*passage));
    let members = Members::new(rows.collect(), passages.collect());
    let vectors = F32Buffer::map(&files.vectors()).map_err(|error| failed("the vectors", error))?;
    if vectors.as_slice().len() != entry.held * dim {
        return Err(wrong("the length of its vectors"));
    }
    let vectors = Arc::new(vectors);
    let live = read_live(files, entry);
    let removals_known = live
        .as_ref()
        .is_some_and(|live| live.removed() >= entry.dead);
    let (index, index_lost) = match &entry.index {
        None => (None, None),
        Some(index) => match open_index(files, dim, index, &vectors) {
            Ok(index) => (Some(index), None),
            Err(reason) => (None, Some(wrong(&reason))),
        },
    };
    let live = live.unwrap_or_else(|| Live::all(entry.held));
    Ok(OpenedSegment {
        segment: Segment::stored(dim, entry.number, vectors, members, live, index),
        index_lost,
        removals_known,
    })
}

/// Reads full vectors and codes and compares their checksums, as long as `keep_going` returns
/// true.
///
/// # Errors
/// Which file is corrupt.
pub(super) fn verify_vectors(
    segment: &Segment,
    entry: &Entry,
    keep_going: impl Fn() -> bool,
) -> Result<Verified, String> {
    let codes = segment
        .index
        .as_ref()
        .and_then(|index| index.native.codes())
        .zip(entry.index.and_then(|index| index.codes_crc))
        .map(|(codes, crc)| ("codes", codes, crc));
    let vectors = ("vectors", &*segment.vectors, entry.vectors_crc);
    for (what, numbers, crc) in std::iter::once(vectors).chain(codes) {
        let mut found = crc32fast::Hasher::new();
        for part in numbers.as_bytes().chunks(16 << 20) {
            if !keep_going() {
                return Ok(Verified::Cancelled);
            }
            found.update(part);
        }
        if found.finalize() != crc {
            return Err(format!(
                "segment {}: the checksum of its {what}",
                entry.number
            ));
        }
    }
    Ok(Verified::Intact)
}

fn open_index(
    files: SegmentFiles<'_>,
    dim: usize,
    entry: &IndexEntry,
    vectors: &Arc<F32Buffer>,
) -> Result<BuiltIndex, String> {
    // A graph is traversed by its codes, and reading them is not checked again in C++.
    if entry.kind.is_graph() != entry.codes_crc.is_some() {
        return Err("the manifest does not match its kind of index".to_owned());
    }
    let path = files.index();
    let found = checksum(&path).map_err(|error| format!("its index: {error}"))?;
    if found != (entry.crc, entry.bytes) {
        return Err("the checksum of its index".to_owned());
    }
    let codes = entry.codes_crc.map(|_| {
        let codes =
            F32Buffer::map(&files.codes()).map_err(|error| format!("its codes: {error}"))?;
        codes.expect_random_reads();
        Ok::<_, String>(Arc::new(codes))
    });
    let native = NativeIndex::open(&path, Arc::clone(vectors), codes.transpose()?, dim)
        .map_err(|error| error.to_string())?;
    Ok(BuiltIndex::new(native, entry))
}

/// `None` where there is no intact record. Without any record no position is removed.
fn read_live(files: SegmentFiles<'_>, entry: &Entry) -> Option<Live> {
    let bytes = match fs::read(files.live()) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound && entry.dead == 0 => {
            return Some(Live::all(entry.held));
        }
        Err(_) => return None,
    };
    let (words, crc) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(words) != u32::from_le_bytes(*crc) {
        return None;
    }
    let words: Vec<u64> = words
        .as_chunks::<8>()
        .0
        .iter()
        .map(|word| u64::from_le_bytes(*word))
        .collect();
    Live::from_words(&words, entry.held)
}
