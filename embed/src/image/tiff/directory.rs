//! A TIFF's first directory: tags with integers, fractions or bytes.

use super::error::{TRUNCATED, corrupt};
use crate::image::ImageError;
use crate::image::format::is_big_tiff;

pub(super) const WIDTH: u16 = 256;
pub(super) const HEIGHT: u16 = 257;
pub(super) const BITS: u16 = 258;
pub(super) const COMPRESSION: u16 = 259;
pub(super) const PHOTOMETRIC: u16 = 262;
pub(super) const FILL_ORDER: u16 = 266;
pub(super) const STRIP_OFFSETS: u16 = 273;
pub(super) const ORIENTATION: u16 = 274;
pub(super) const SAMPLES: u16 = 277;
pub(super) const ROWS_PER_STRIP: u16 = 278;
pub(super) const STRIP_LENGTHS: u16 = 279;
pub(super) const PLANAR: u16 = 284;
pub(super) const FAX_OPTIONS: u16 = 292;
pub(super) const PREDICTOR: u16 = 317;
pub(super) const PALETTE: u16 = 320;
pub(super) const TILE_WIDTH: u16 = 322;
pub(super) const TILE_HEIGHT: u16 = 323;
pub(super) const TILE_OFFSETS: u16 = 324;
pub(super) const TILE_LENGTHS: u16 = 325;
pub(super) const EXTRA_SAMPLES: u16 = 338;
pub(super) const SAMPLE_FORMAT: u16 = 339;
pub(super) const JPEG_TABLES: u16 = 347;
pub(super) const OLD_JPEG: u16 = 513;
pub(super) const OLD_JPEG_LENGTH: u16 = 514;
pub(super) const LUMINANCE: u16 = 529;
pub(super) const SUBSAMPLING: u16 = 530;
pub(super) const BLACK_WHITE: u16 = 532;

/// All tags that are read, except the two of an old-style JPEG.
const READ: [u16; 25] = [
    WIDTH,
    HEIGHT,
    BITS,
    COMPRESSION,
    PHOTOMETRIC,
    FILL_ORDER,
    STRIP_OFFSETS,
    ORIENTATION,
    SAMPLES,
    ROWS_PER_STRIP,
    STRIP_LENGTHS,
    PLANAR,
    FAX_OPTIONS,
    PREDICTOR,
    PALETTE,
    TILE_WIDTH,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_LENGTHS,
    EXTRA_SAMPLES,
    SAMPLE_FORMAT,
    JPEG_TABLES,
    LUMINANCE,
    SUBSAMPLING,
    BLACK_WHITE,
];

/// The byte order of integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    /// Decodes an unsigned integer of up to 8 bytes.
    pub fn number(self, bytes: &[u8]) -> u64 {
        let append = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        match self {
            Self::Little => bytes.iter().rev().fold(0, append),
            Self::Big => bytes.iter().fold(0, append),
        }
    }
}

pub(super) struct Directory<'a> {
    pub file: &'a [u8],
    pub order: ByteOrder,
    entries: Vec<Entry<'a>>,
}

struct Entry<'a> {
    tag: u16,
    kind: u16,
    value: &'a [u8],
}

impl<'a> Directory<'a> {
    pub fn first(file: &'a [u8]) -> Result<Self, ImageError> {
        let order = match file.first() {
            Some(b'I') => ByteOrder::Little,
            _ => ByteOrder::Big,
        };
        let big = is_big_tiff(file);
        let number = |at: usize, length: usize| -> Option<u64> {
            let bytes = file.get(at..at.checked_add(length)?)?;
            Some(order.number(bytes))
        };
        // The field sizes of a file with 64-bit offsets, and with 32-bit ones.
        let (start, offset_length, count_length, entry_length) =
            if big { (8, 8, 8, 20) } else { (4, 4, 2, 12) };
        let read = || -> Option<Vec<Entry<'a>>> {
            let at = usize::try_from(number(start, offset_length)?).ok()?;
            let count = number(at, count_length)?.min(65_536) as usize;
            let mut entries = Vec::new();
            for place in 0..count {
                let at = at.checked_add(count_length + place * entry_length)?;
                let (tag, kind) = (number(at, 2)? as u16, number(at + 2, 2)? as u16);
                let values = usize::try_from(number(at + 4, offset_length)?).ok()?;
                let length = values.saturating_mul(length_of(kind));
                let within = at + 4 + offset_length;
                let from = if length <= offset_length {
                    within
                } else {
                    usize::try_from(number(within, offset_length)?).ok()?
                };
                let value = file.get(from..from.saturating_add(length));
                // A tag that is not read may be corrupt.
                if value.is_none() && READ.contains(&tag) {
                    return None;
                }
                entries.push(Entry {
                    tag,
                    kind,
                    value: value.unwrap_or_default(),
                });
            }
            Some(entries)
        };
        let entries = read().ok_or(TRUNCATED)?;
        Ok(Self {
            file,
            order,
            entries,
        })
    }

    fn entry(&self, tag: u16) -> Option<&Entry<'a>> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    /// The integers of a tag; empty if the tag is absent or has another type.
    pub fn numbers(&self, tag: u16) -> Vec<u64> {
        let Some(entry) = self.entry(tag) else {
            return Vec::new();
        };
        match entry.kind {
            1 | 3 | 4 | 6 | 8 | 9 | 13 | 16..=18 => entry
                .value
                .chunks_exact(length_of(entry.kind))
                .map(|bytes| self.order.number(bytes))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The first integer of a tag.
    pub fn number(&self, tag: u16) -> Option<u64> {
        self.numbers(tag).first().copied()
    }

    /// The first integer of a tag that must be present. `name` describes it in the error.
    pub fn required(&self, tag: u16, name: &str) -> Result<u64, ImageError> {
        self.number(tag)
            .ok_or_else(|| corrupt(format!("it has no {name}")))
    }

    /// The raw bytes of a tag; empty if it is absent.
    pub fn bytes(&self, tag: u16) -> &'a [u8] {
        self.entry(tag).map_or(&[], |entry| entry.value)
    }

    /// The fractions of a tag; empty if the tag is absent or has another type.
    pub fn fractions(&self, tag: u16) -> Vec<f32> {
        match self.entry(tag) {
            Some(entry) if entry.kind == 5 => entry
                .value
                .chunks_exact(8)
                .map(|pair| {
                    let part = |bytes| self.order.number(bytes) as f32;
                    part(&pair[..4]) / part(&pair[4..])
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// The size of one value of a field type, in bytes. An unknown type counts as bytes.
fn length_of(kind: u16) -> usize {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => 1,
    }
}
