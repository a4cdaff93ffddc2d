//! Writes a segment's files. Nothing counts before the manifest names it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::codes;
use super::entry::{Entry, IndexEntry};
use super::f32_buffer::F32Buffer;
use super::files::{SegmentFiles, checksum, sync_folder, write_durably};
use super::id::VectorId;
use super::live::Live;
use super::members::Members;
use super::native::NativeIndex;
use super::segment::{BuiltIndex, Segment};
use super::settings::BuiltKind;
use crate::error::IndexError;

/// Vectors that are encoded before their codes are written.
const ENCODED_AT_ONCE: usize = 4096;

/// Writes vectors one by one.
pub(super) struct SegmentWriter {
    folder: PathBuf,
    number: u64,
    file: BufWriter<File>,
    crc: crc32fast::Hasher,
    rows: Vec<u64>,
    passages: Vec<u16>,
}

/// Codes of a segment's vectors, written and mapped.
pub(super) struct EncodedVectors {
    pub codes: Arc<F32Buffer>,
    crc: u32,
}

/// An index that was built of a segment and is not on disk yet.
pub(super) struct NewIndex {
    pub native: NativeIndex,
    pub kind: BuiltKind,
    /// Lists of an inverted file, otherwise 0.
    pub lists: usize,
    /// The codes of a graph's vectors.
    pub encoded: Option<EncodedVectors>,
}

impl SegmentWriter {
    pub(super) fn create(folder: &Path, number: u64) -> Result<Self, IndexError> {
        fs::create_dir_all(folder).map_err(IndexError::io("create", folder))?;
        let path = SegmentFiles::new(folder, number).vectors();
        let file = File::create(&path).map_err(IndexError::io("create", &path))?;
        Ok(Self {
            folder: folder.to_owned(),
            number,
            file: BufWriter::with_capacity(1 << 20, file),
            crc: crc32fast::Hasher::new(),
            rows: Vec::new(),
            passages: Vec::new(),
        })
    }

    fn files(&self) -> SegmentFiles<'_> {
        SegmentFiles::new(&self.folder, self.number)
    }

    /// Appends a vector, given as the bytes of its dimensions.
    pub(super) fn push(&mut self, id: VectorId, vector: &[u8]) -> Result<(), IndexError> {
        self.crc.update(vector);
        self.rows.push(id.row.0);
        self.passages.push(id.passage);
        let written = self.file.write_all(vector);
        written.map_err(|error| IndexError::io("write", self.files().vectors())(error))
    }

    /// Makes both files durable and maps the vectors.
    pub(super) fn finish(self, dim: usize) -> Result<(Segment, Entry), IndexError> {
        let files = SegmentFiles::new(&self.folder, self.number);
        let path = files.vectors();
        let file = self
            .file
            .into_inner()
            .map_err(|error| IndexError::io("write", &path)(error.into_error()))?;
        file.sync_all().map_err(IndexError::io("sync", &path))?;
        let ids: Vec<u8> = (self.rows.iter().flat_map(|row| row.to_le_bytes()))
            .chain(
                self.passages
                    .iter()
                    .flat_map(|passage| passage.to_le_bytes()),
            )
            .collect();
        write_durably(&files.ids(), &[&ids])?;
        sync_folder(&self.folder)?;
        let members = Members::new(self.rows, self.passages);
        let (first_row, last_row) = members.span().unwrap_or((0, 0));
        let entry = Entry {
            number: self.number,
            held: members.len(),
            dead: 0,
            first_row,
            last_row,
            vectors_crc: self.crc.finalize(),
            ids_crc: crc32fast::hash(&ids),
            index: None,
        };
        let vectors = F32Buffer::map(&path).map_err(IndexError::io("map", &path))?;
        let live = Live::all(members.len());
        let segment = Segment::stored(dim, self.number, Arc::new(vectors), members, live, None);
        Ok((segment, entry))
    }
}

/// Encodes a segment's vectors, writes the codes durably and maps them.
pub(super) fn write_codes(
    files: SegmentFiles<'_>,
    dim: usize,
    vectors: &F32Buffer,
) -> Result<EncodedVectors, IndexError> {
    let path = files.codes();
    let write = || -> io::Result<u32> {
        let mut file = File::create(&path)?;
        let mut crc = crc32fast::Hasher::new();
        let mut put = |bytes: &[u8]| {
            crc.update(bytes);
            file.write_all(bytes)
        };
        let mut scales: Vec<u8> = Vec::new();
        for part in vectors.as_slice().chunks(ENCODED_AT_ONCE * dim) {
            let (codes, of_part) = codes::encode(part, dim);
            put(&codes)?;
            scales.extend(of_part.iter().flat_map(|scale| scale.to_le_bytes()));
        }
        put(&scales)?;
        file.sync_all()?;
        Ok(crc.finalize())
    };
    let crc = write().map_err(IndexError::io("write", &path))?;
    let codes = F32Buffer::map(&path).map_err(IndexError::io("map", &path))?;
    codes.expect_random_reads();
    Ok(EncodedVectors {
        codes: Arc::new(codes),
        crc,
    })
}

/// Writes a segment's index durably and maps it.
pub(super) fn write_index(
    files: SegmentFiles<'_>,
    dim: usize,
    vectors: Arc<F32Buffer>,
    index: NewIndex,
) -> Result<(BuiltIndex, IndexEntry), IndexError> {
    let path = files.index();
    index.native.write(&path)?;
    drop(index.native);
    let file = File::open(&path).map_err(IndexError::io("open", &path))?;
    file.sync_all().map_err(IndexError::io("sync", &path))?;
    sync_folder(files.folder)?;
    let (crc, bytes) = checksum(&path).map_err(IndexError::io("read back", &path))?;
    let entry = IndexEntry {
        kind: index.kind,
        lists: index.lists,
        bytes,
        crc,
        codes_crc: index.encoded.as_ref().map(|encoded| encoded.crc),
    };
    let codes = index.encoded.map(|encoded| encoded.codes);
    let native = NativeIndex::open(&path, vectors, codes, dim)?;
    Ok((BuiltIndex::new(native, &entry), entry))
}

/// Replaces the record of the positions that are not removed.
pub(super) fn write_live(files: SegmentFiles<'_>, live: &Live) -> Result<(), IndexError> {
    let words: Vec<u8> = live
        .to_words()
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    let path = files.live();
    let fresh = path.with_extension("live.new");
    write_durably(&fresh, &[&words, &crc32fast::hash(&words).to_le_bytes()])?;
    fs::rename(&fresh, &path).map_err(IndexError::io("replace", &path))
}
