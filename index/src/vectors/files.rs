//! A segment's files: `N.vectors` (the full vectors), `N.ids` (rows and passages), `N.index`
//! (what FAISS built), `N.codes` (what a graph is walked by) and `N.live` (what is not removed).
//!
//! The first four never change once the manifest names them, with their checksums. The last
//! is replaced as a whole and checks itself; bits in it only ever go out, so that it may be
//! newer than the manifest.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::codes;
use super::id::VectorId;
use super::live::Live;
use super::mapped::Numbers;
use super::members::Members;
use super::native::NativeIndex;
use super::segment::{BuiltIndex, Segment};
use super::settings::BuiltKind;
use crate::error::IndexError;

/// Vectors whose codes are in memory before they are written.
const CODED_AT_ONCE: usize = 4096;

/// What the manifest knows of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub number: u64,
    /// Vectors that it holds, removed ones too.
    pub held: usize,
    /// Of which removed when the manifest was written.
    pub dead: usize,
    /// Its smallest and largest row: what a damaged file takes with it.
    pub first_row: u64,
    pub last_row: u64,
    pub vectors_crc: u32,
    pub ids_crc: u32,
    pub index: Option<IndexEntry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IndexEntry {
    pub kind: BuiltKind,
    pub lists: usize,
    pub bytes: u64,
    pub crc: u32,
    /// Of a graph.
    pub codes_crc: Option<u32>,
}

/// Codes that were just made of a segment's vectors.
pub(super) struct Coded {
    pub codes: Arc<Numbers>,
    crc: u32,
}

/// A segment that could be read.
pub(super) struct Read {
    pub segment: Segment,
    /// What was damaged and could be done without.
    pub healed: Option<String>,
    /// Whether its removals are those that the manifest counted, or more.
    pub removals_known: bool,
}

/// Writes vectors one behind the other; nothing counts before the manifest names it.
pub(super) struct Writer {
    folder: PathBuf,
    number: u64,
    file: BufWriter<File>,
    crc: crc32fast::Hasher,
    rows: Vec<u64>,
    passages: Vec<u16>,
}

impl Writer {
    pub(super) fn create(folder: &Path, number: u64) -> Result<Self, IndexError> {
        fs::create_dir_all(folder).map_err(IndexError::io("create", folder))?;
        let path = vectors_path(folder, number);
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

    pub(super) fn push(&mut self, id: VectorId, vector: &[u8]) -> Result<(), IndexError> {
        self.crc.update(vector);
        self.rows.push(id.row.0);
        self.passages.push(id.passage);
        self.file.write_all(vector).map_err(IndexError::io(
            "write",
            vectors_path(&self.folder, self.number),
        ))
    }

    /// Makes both files durable and maps them.
    pub(super) fn finish(self, dim: usize) -> Result<(Segment, Entry), IndexError> {
        let path = vectors_path(&self.folder, self.number);
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
        write_durably(&ids_path(&self.folder, self.number), &[&ids])?;
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
        let vectors = Numbers::map(&path).map_err(IndexError::io("map", &path))?;
        let live = Live::all(members.len());
        let segment = Segment::stored(dim, self.number, Arc::new(vectors), members, live, None);
        Ok((segment, entry))
    }
}

/// Makes the codes of a segment's vectors and maps them; durable when it returns.
pub(super) fn write_codes(
    folder: &Path,
    number: u64,
    dim: usize,
    vectors: &Numbers,
) -> Result<Coded, IndexError> {
    let path = codes_path(folder, number);
    let write = || -> io::Result<u32> {
        let mut file = File::create(&path)?;
        let mut crc = crc32fast::Hasher::new();
        let mut put = |bytes: &[u8]| {
            crc.update(bytes);
            file.write_all(bytes)
        };
        let mut scales: Vec<u8> = Vec::new();
        for part in vectors.as_slice().chunks(CODED_AT_ONCE * dim) {
            let (codes, of_part) = codes::encode(part, dim);
            put(&codes)?;
            scales.extend(of_part.iter().flat_map(|scale| scale.to_le_bytes()));
        }
        put(&scales)?;
        file.sync_all()?;
        Ok(crc.finalize())
    };
    let crc = write().map_err(IndexError::io("write", &path))?;
    let codes = Numbers::map(&path).map_err(IndexError::io("map", &path))?;
    codes.read_at_random();
    Ok(Coded {
        codes: Arc::new(codes),
        crc,
    })
}

/// Writes what FAISS built of the segment and maps it from there.
pub(super) fn write_index(
    folder: &Path,
    number: u64,
    dim: usize,
    native: NativeIndex,
    vectors: Arc<Numbers>,
    coded: Option<Coded>,
    (kind, lists): (BuiltKind, usize),
) -> Result<(BuiltIndex, IndexEntry), IndexError> {
    let path = index_path(folder, number);
    native.write(&path)?;
    drop(native);
    let file = File::open(&path).map_err(IndexError::io("open", &path))?;
    file.sync_all().map_err(IndexError::io("sync", &path))?;
    sync_folder(folder)?;
    let (crc, bytes) = checksum(&path).map_err(IndexError::io("read back", &path))?;
    let codes_crc = coded.as_ref().map(|coded| coded.crc);
    let codes = coded.map(|coded| coded.codes);
    let entry = IndexEntry {
        kind,
        lists,
        bytes,
        crc,
        codes_crc,
    };
    let native = NativeIndex::open(&path, vectors, codes, dim)?;
    Ok((BuiltIndex::new(native, &entry), entry))
}

/// Replaces the record of what is removed of a segment.
pub(super) fn write_live(folder: &Path, number: u64, live: &Live) -> Result<(), IndexError> {
    let words: Vec<u8> = live
        .to_words()
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    let path = live_path(folder, number);
    let fresh = path.with_extension("live.new");
    write_durably(&fresh, &[&words, &crc32fast::hash(&words).to_le_bytes()])?;
    fs::rename(&fresh, &path).map_err(IndexError::io("replace", &path))
}

/// Opens a segment: all but the full vectors is checked against its checksum; of these only
/// the length, since reading them all would take long ([`check_vectors`] does).
pub(super) fn read(folder: &Path, dim: usize, entry: &Entry) -> Result<Read, String> {
    let said = |what: &str, error: io::Error| format!("segment {}: {what}: {error}", entry.number);
    let wrong = |what: &str| format!("segment {}: {what}", entry.number);
    let ids = fs::read(ids_path(folder, entry.number)).map_err(|error| said("the rows", error))?;
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
    let vectors = Numbers::map(&vectors_path(folder, entry.number))
        .map_err(|error| said("the vectors", error))?;
    if vectors.as_slice().len() != entry.held * dim {
        return Err(wrong("the length of its vectors"));
    }
    let vectors = Arc::new(vectors);
    let live = read_live(folder, entry);
    let removals_known = live.as_ref().is_some_and(|live| live.dead() >= entry.dead);
    let (index, healed) = match &entry.index {
        None => (None, None),
        Some(index) => match read_index(folder, dim, entry.number, index, &vectors) {
            Ok(index) => (Some(index), None),
            Err(reason) => (None, Some(wrong(&reason))),
        },
    };
    let live = live.unwrap_or_else(|| Live::all(entry.held));
    Ok(Read {
        segment: Segment::stored(dim, entry.number, vectors, members, live, index),
        healed,
        removals_known,
    })
}

/// Reads the full vectors and their codes: an error says which are not what was written. False
/// if it was told not to go on.
pub(super) fn check_vectors(
    segment: &Segment,
    entry: &Entry,
    go_on: impl Fn() -> bool,
) -> Result<bool, String> {
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
            if !go_on() {
                return Ok(false);
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
    Ok(true)
}

fn read_index(
    folder: &Path,
    dim: usize,
    number: u64,
    entry: &IndexEntry,
    vectors: &Arc<Numbers>,
) -> Result<BuiltIndex, String> {
    let path = index_path(folder, number);
    let found = checksum(&path).map_err(|error| format!("its index: {error}"))?;
    if found != (entry.crc, entry.bytes) {
        return Err("the checksum of its index".to_owned());
    }
    let codes = entry.codes_crc.map(|_| {
        let codes = Numbers::map(&codes_path(folder, number))
            .map_err(|error| format!("its codes: {error}"))?;
        codes.read_at_random();
        Ok::<_, String>(Arc::new(codes))
    });
    let native = NativeIndex::open(&path, Arc::clone(vectors), codes.transpose()?, dim)
        .map_err(|error| error.to_string())?;
    Ok(BuiltIndex::new(native, entry))
}

/// None: there is no good record, which is right only if nothing was removed.
fn read_live(folder: &Path, entry: &Entry) -> Option<Live> {
    let bytes = match fs::read(live_path(folder, entry.number)) {
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

/// Removes every file that is no segment's of `numbers`, and leaves the manifest.
pub(super) fn sweep(folder: &Path, numbers: &[u64], manifest: &str) -> Result<(), IndexError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(IndexError::io("list", folder)(error)),
    };
    for entry in entries {
        let path = entry.map_err(IndexError::io("list", folder))?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let number = name.split_once('.').and_then(|(number, of)| {
            let kept = ["vectors", "ids", "index", "codes", "live"].contains(&of);
            number.parse().ok().filter(|_| kept)
        });
        if name != manifest && !number.is_some_and(|number| numbers.contains(&number)) {
            fs::remove_file(&path).map_err(IndexError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Removes a segment's files; those who have them mapped keep them.
pub(super) fn remove(folder: &Path, number: u64) -> Result<(), IndexError> {
    let paths = [vectors_path, ids_path, index_path, codes_path, live_path];
    for path in paths.map(|path| path(folder, number)) {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(IndexError::io("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether the files that the manifest names of it are there; nothing of them is read.
pub(super) fn is_there(folder: &Path, entry: &Entry) -> bool {
    let index = entry.index.map(|_| index_path(folder, entry.number));
    let codes =
        (entry.index.and_then(|index| index.codes_crc)).map(|_| codes_path(folder, entry.number));
    let always = [
        vectors_path(folder, entry.number),
        ids_path(folder, entry.number),
    ];
    always
        .iter()
        .chain(&index)
        .chain(&codes)
        .all(|path| path.exists())
}

pub(super) fn index_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number}.index"))
}

fn vectors_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number}.vectors"))
}

fn ids_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number}.ids"))
}

fn codes_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number}.codes"))
}

fn live_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number}.live"))
}

fn write_durably(path: &Path, parts: &[&[u8]]) -> Result<(), IndexError> {
    let write = || -> io::Result<()> {
        let mut file = File::create(path)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.sync_all()
    };
    write().map_err(IndexError::io("write", path))
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), IndexError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(IndexError::io("sync", folder))
}

fn checksum(path: &Path) -> io::Result<(u32, u64)> {
    let mut file = File::open(path)?;
    let mut crc = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        let read = io::Read::read(&mut file, &mut buffer)?;
        if read == 0 {
            return Ok((crc.finalize(), length));
        }
        crc.update(&buffer[..read]);
        length += read as u64;
    }
}
