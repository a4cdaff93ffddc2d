//! The directory of a ZIP file by PyTorch, whose entries are stored without compression.

use std::collections::HashMap;

use crate::EmbedError;
use crate::sources::ModelFile;

/// Sizes of the records at the end of the file: the end of the directory, and before it the locator
/// of a file beyond 4 GB.
const END: u64 = 22;
const LOCATOR: u64 = 20;
/// The size of the end record of a ZIP64 file, without its variable part.
const END_64: u64 = 56;
const END_SIGNATURE: u32 = 0x0605_4b50;
const LOCATOR_SIGNATURE: u32 = 0x0706_4b50;
const END_64_SIGNATURE: u32 = 0x0606_4b50;
const ENTRY_SIGNATURE: u32 = 0x0201_4b50;
const LOCAL_SIGNATURE: u32 = 0x0403_4b50;
/// Sizes of an entry's record and of its local header, without the variable parts.
const ENTRY: usize = 46;
const LOCAL: usize = 30;
/// The extra field with 64-bit sizes and offsets.
const EXTRA_64: u16 = 1;
/// Larger than the directory of any checkpoint.
const MAX_DIRECTORY: u64 = 64 << 20;

/// A range of the file in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub start: u64,
    pub length: u64,
}

impl Span {
    fn is_within(self, file: &ModelFile) -> bool {
        let end = self.start.checked_add(self.length);
        end.is_some_and(|end| end <= file.len())
    }
}

/// The location of each entry's data, by name.
pub(super) fn entries(file: &ModelFile) -> Result<HashMap<String, Span>, EmbedError> {
    let span = directory(file)?;
    let directory = file.read(span.start, span.length as usize)?;
    let mut entries = HashMap::new();
    let mut at = 0;
    while u32_at(&directory, at) == Some(ENTRY_SIGNATURE) {
        let entry = Entry::read(&directory[at..]).ok_or_else(|| truncated(file))?;
        at += entry.size;
        let data = entry.data(file)?;
        entries.insert(entry.name, data);
    }
    match entries.is_empty() {
        true => Err(truncated(file)),
        false => Ok(entries),
    }
}

fn truncated(file: &ModelFile) -> EmbedError {
    let reason = "it is truncated, or not a file by PyTorch 1.6 or later";
    EmbedError::file(file.name(), reason)
}

/// The location of the directory. It is within the file, and not larger than `MAX_DIRECTORY`.
fn directory(file: &ModelFile) -> Result<Span, EmbedError> {
    let end = file.len().checked_sub(END);
    let end = end.ok_or_else(|| truncated(file))?;
    let record = file.read(end, END as usize)?;
    let span = match (u32_at(&record, 0), u32_at(&record, 12), u32_at(&record, 16)) {
        (Some(END_SIGNATURE), Some(u32::MAX), _) | (Some(END_SIGNATURE), _, Some(u32::MAX)) => {
            zip64_directory(file, end)?
        }
        (Some(END_SIGNATURE), Some(length), Some(start)) => Some(Span {
            start: start.into(),
            length: length.into(),
        }),
        _ => None,
    };
    span.filter(|span| span.length <= MAX_DIRECTORY && span.is_within(file))
        .ok_or_else(|| truncated(file))
}

/// The location of the directory of a ZIP64 file; `None` if its records are invalid.
fn zip64_directory(file: &ModelFile, end: u64) -> Result<Option<Span>, EmbedError> {
    let Some(at) = end.checked_sub(LOCATOR) else {
        return Ok(None);
    };
    let locator = file.read(at, LOCATOR as usize)?;
    let (Some(LOCATOR_SIGNATURE), Some(at)) = (u32_at(&locator, 0), u64_at(&locator, 8)) else {
        return Ok(None);
    };
    let record = file.read(at, END_64 as usize)?;
    if u32_at(&record, 0) != Some(END_64_SIGNATURE) {
        return Ok(None);
    }
    let range = u64_at(&record, 40).zip(u64_at(&record, 48));
    Ok(range.map(|(length, start)| Span { start, length }))
}

struct Entry {
    name: String,
    method: u16,
    length: u64,
    /// Offset of its local header.
    offset: u64,
    /// Size of this record.
    size: usize,
}

impl Entry {
    /// The location of the data, which follows the local header.
    fn data(&self, file: &ModelFile) -> Result<Span, EmbedError> {
        if self.method != 0 {
            let reason = "its entries are compressed, and PyTorch never compresses them";
            return Err(EmbedError::file(file.name(), reason));
        }
        let header = file.read(self.offset, LOCAL)?;
        let (name, extra) = (u16_at(&header, 26), u16_at(&header, 28));
        let (Some(LOCAL_SIGNATURE), Some(name), Some(extra)) = (u32_at(&header, 0), name, extra)
        else {
            return Err(truncated(file));
        };
        let span = Span {
            start: self.offset + LOCAL as u64 + u64::from(name) + u64::from(extra),
            length: self.length,
        };
        match span.is_within(file) {
            true => Ok(span),
            false => Err(truncated(file)),
        }
    }

    fn read(record: &[u8]) -> Option<Self> {
        let (name, extra, comment) = (
            usize::from(u16_at(record, 28)?),
            usize::from(u16_at(record, 30)?),
            usize::from(u16_at(record, 32)?),
        );
        let mut length = u64::from(u32_at(record, 24)?);
        let stored = u32_at(record, 20)?;
        let mut offset = u64::from(u32_at(record, 42)?);
        let mut fields = record.get(ENTRY + name..ENTRY + name + extra)?;
        while let (Some(id), Some(size)) = (u16_at(fields, 0), u16_at(fields, 2)) {
            let field = fields.get(4..4 + usize::from(size))?;
            if id == EXTRA_64 {
                // The field contains only the values that exceed 32 bits, in this order.
                let mut at = 0;
                if length == u64::from(u32::MAX) {
                    length = u64_at(field, at)?;
                    at += 8;
                }
                if stored == u32::MAX {
                    at += 8;
                }
                if offset == u64::from(u32::MAX) {
                    offset = u64_at(field, at)?;
                }
            }
            fields = &fields[4 + usize::from(size)..];
        }
        Some(Self {
            name: String::from_utf8(record.get(ENTRY..ENTRY + name)?.to_vec()).ok()?,
            method: u16_at(record, 10)?,
            length,
            offset,
            size: ENTRY + name + extra + comment,
        })
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
