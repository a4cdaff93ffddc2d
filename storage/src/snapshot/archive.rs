//! The file format of snapshots: a magic line, then frames of a kind, a length, a payload and a CRC-32
//! of the three. Numbers are little endian.
//!
//! | kind | payload | number |
//! |---|---|---|
//! | `M` | the manifest as JSON | one, the first |
//! | `K` | the catalog entry of the collection | one |
//! | `C` | the counters | at most one |
//! | `D` | all keys and values of one document | one per document, in any order |
//! | `I` | the hash and the bytes of an image | one per image |
//! | `Z` | the number of previous frames, and the SHA-256 of all previous bytes | one, the last |
//!
//! Keys and values are in their stored form, each preceded by its length.

use std::io::{Read, Write};

use sha2::{Digest, Sha256};

use super::{Manifest, RawEntry};
use crate::{BlobHash, StorageError};

const MAGIC: &[u8] = b"clipdb snapshot 1\n";
/// The maximum length of a frame; a longer one is a corrupt length.
const MAX_FRAME_BYTES: u64 = 1 << 31;

pub(super) enum Frame {
    Manifest(Box<Manifest>),
    Catalog(RawEntry),
    Counters(RawEntry),
    Document(Vec<RawEntry>),
    Image(BlobHash, Vec<u8>),
}

pub(super) struct Writer<W> {
    out: W,
    hash: Sha256,
    frames: u64,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W) -> std::io::Result<Self> {
        let mut writer = Writer {
            out,
            hash: Sha256::new(),
            frames: 0,
            bytes: 0,
        };
        writer.put(MAGIC)?;
        Ok(writer)
    }

    pub(super) fn write(&mut self, frame: &Frame) -> std::io::Result<()> {
        match frame {
            Frame::Manifest(manifest) => self.frame(b'M', &[&serde_json::to_vec(manifest)?]),
            Frame::Catalog(entry) => self.frame(b'K', &[&packed(std::slice::from_ref(entry))]),
            Frame::Counters(entry) => self.frame(b'C', &[&packed(std::slice::from_ref(entry))]),
            Frame::Document(entries) => self.frame(b'D', &[&packed(entries)]),
            Frame::Image(hash, bytes) => self.frame(b'I', &[hash.as_bytes(), bytes]),
        }
    }

    /// Writes the last frame, and returns the output, its length and its SHA-256.
    pub(super) fn finish(mut self) -> std::io::Result<(W, u64, String)> {
        let (frames, hash) = (self.frames, self.hash.clone().finalize());
        self.frame(b'Z', &[&frames.to_le_bytes(), &hash])?;
        self.out.flush()?;
        let digest = self.hash.finalize();
        let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((self.out, self.bytes, hex))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn frame(&mut self, kind: u8, payload: &[&[u8]]) -> std::io::Result<()> {
        let length: usize = payload.iter().map(|part| part.len()).sum();
        let length = (length as u64).to_le_bytes();
        let mut crc = crc32fast::Hasher::new();
        for part in [&[kind][..], &length].iter().chain(payload) {
            crc.update(part);
            self.put(part)?;
        }
        self.frames += 1;
        self.put(&crc.finalize().to_le_bytes())
    }

    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

pub(super) struct Reader<R> {
    input: R,
    hash: Sha256,
    frames: u64,
    ended: bool,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(input: R) -> Result<Self, StorageError> {
        let mut reader = Reader {
            input,
            hash: Sha256::new(),
            frames: 0,
            ended: false,
        };
        let magic = reader.take(MAGIC.len())?;
        if magic != MAGIC {
            return Err(bad("it is not a clipdb snapshot"));
        }
        Ok(reader)
    }

    /// The next frame; `None` after the last one, if the archive is complete and intact.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, StorageError> {
        if self.ended {
            return Ok(None);
        }
        let before = self.hash.clone();
        let head = self.take(9)?;
        let (kind, length) = (head[0], number(&head[1..]));
        if length > MAX_FRAME_BYTES {
            return Err(self.corrupt());
        }
        // The length may be corrupt, so no memory is reserved for it.
        let mut payload = Vec::new();
        let read = (&mut self.input).take(length).read_to_end(&mut payload);
        if read.map_err(unreadable)? as u64 != length {
            return Err(truncated());
        }
        self.hash.update(&payload);
        let mut crc = crc32fast::Hasher::new();
        crc.update(&head);
        crc.update(&payload);
        if self.take(4)? != crc.finalize().to_le_bytes() {
            return Err(self.corrupt());
        }
        if kind == b'Z' {
            self.ended = true;
            let is_intact = payload.len() == 40
                && number(&payload[..8]) == self.frames
                && payload[8..] == before.finalize()[..];
            if !is_intact {
                return Err(self.corrupt());
            }
            let mut trailing = [0];
            return match self.input.read(&mut trailing).map_err(unreadable)? {
                0 => Ok(None),
                _ => Err(bad("it has trailing bytes")),
            };
        }
        let frame = self.decode(kind, payload)?;
        self.frames += 1;
        Ok(Some(frame))
    }

    fn decode(&self, kind: u8, payload: Vec<u8>) -> Result<Frame, StorageError> {
        let one = |payload: &[u8]| -> Result<RawEntry, StorageError> {
            let mut entries = unpacked(payload).ok_or_else(|| self.corrupt())?;
            match (entries.pop(), entries.is_empty()) {
                (Some(entry), true) => Ok(entry),
                _ => Err(self.corrupt()),
            }
        };
        match kind {
            b'M' => serde_json::from_slice(&payload)
                .map(|manifest| Frame::Manifest(Box::new(manifest)))
                .map_err(|error| bad(format!("its manifest is invalid: {error}"))),
            b'K' => one(&payload).map(Frame::Catalog),
            b'C' => one(&payload).map(Frame::Counters),
            b'D' => unpacked(&payload)
                .map(Frame::Document)
                .ok_or_else(|| self.corrupt()),
            b'I' => match payload.split_first_chunk::<32>() {
                Some((hash, bytes)) => {
                    Ok(Frame::Image(BlobHash::from_bytes(*hash), bytes.to_vec()))
                }
                None => Err(self.corrupt()),
            },
            _ => Err(bad(format!(
                "its frame {} has an unknown kind",
                self.frames
            ))),
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, StorageError> {
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes).map_err(unreadable)?;
        self.hash.update(&bytes);
        Ok(bytes)
    }

    fn corrupt(&self) -> StorageError {
        bad(format!("its frame {} is corrupt", self.frames))
    }
}

pub(super) fn bad(reason: impl Into<String>) -> StorageError {
    StorageError::BadSnapshot {
        reason: reason.into(),
    }
}

fn truncated() -> StorageError {
    bad("it is cut short")
}

fn unreadable(error: std::io::Error) -> StorageError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => truncated(),
        _ => bad(format!("it cannot be read: {error}")),
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk::<8>()
        .map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes))
}

fn packed(entries: &[RawEntry]) -> Vec<u8> {
    let mut packed = Vec::new();
    for part in entries.iter().flat_map(|(key, value)| [key, value]) {
        packed.extend_from_slice(&(part.len() as u64).to_le_bytes());
        packed.extend_from_slice(part);
    }
    packed
}

fn unpacked(mut packed: &[u8]) -> Option<Vec<RawEntry>> {
    let mut part = || -> Option<Option<Vec<u8>>> {
        if packed.is_empty() {
            return Some(None);
        }
        let (length, rest) = packed.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (part, rest) = rest.split_at_checked(length)?;
        packed = rest;
        Some(Some(part.to_vec()))
    };
    let mut entries = Vec::new();
    while let Some(key) = part()? {
        entries.push((key, part()??));
    }
    Some(entries)
}
