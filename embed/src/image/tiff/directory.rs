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

/// The sizes of the fields of a directory, in bytes.
struct FieldSizes {
    /// The position of the first directory's offset.
    start: usize,
    offset: usize,
    count: usize,
    entry: usize,
}

const CLASSIC: FieldSizes = FieldSizes {
    start: 4,
    offset: 4,
    count: 2,
    entry: 12,
};
const BIG_TIFF: FieldSizes = FieldSizes {
    start: 8,
    offset: 8,
    count: 8,
    entry: 20,
};

struct Reader<'a> {
    file: &'a [u8],
    order: ByteOrder,
    sizes: FieldSizes,
}

impl<'a> Reader<'a> {
    fn number(&self, at: usize, length: usize) -> Option<u64> {
        let bytes = self.file.get(at..at.checked_add(length)?)?;
        Some(self.order.number(bytes))
    }

    fn offset(&self, at: usize) -> Option<usize> {
        usize::try_from(self.number(at, self.sizes.offset)?).ok()
    }

    /// The entries of the first directory; `None` if it is truncated.
    fn entries(&self) -> Option<Vec<Entry<'a>>> {
        let at = self.offset(self.sizes.start)?;
        let count = self.number(at, self.sizes.count)?.min(65_536) as usize;
        let first = at.checked_add(self.sizes.count)?;
        let entry = |number| self.entry(first.checked_add(number * self.sizes.entry)?);
        (0..count).map(entry).collect()
    }

    fn entry(&self, at: usize) -> Option<Entry<'a>> {
        let (tag, kind) = (self.number(at, 2)? as u16, self.number(at + 2, 2)? as u16);
        let length = self.offset(at + 4)?.saturating_mul(length_of(kind));
        // A short value is stored in place of its offset.
        let within = at + 4 + self.sizes.offset;
        let from = match length <= self.sizes.offset {
            true => within,
            false => self.offset(within)?,
        };
        let value = self.file.get(from..from.saturating_add(length));
        // A tag that is not read may be corrupt.
        if value.is_none() && READ.contains(&tag) {
            return None;
        }
        Some(Entry {
            tag,
            kind,
            value: value.unwrap_or_default(),
        })
    }
}

impl<'a> Directory<'a> {
    pub fn first(file: &'a [u8]) -> Result<Self, ImageError> {
        let order = match file.first() {
            Some(b'I') => ByteOrder::Little,
            _ => ByteOrder::Big,
        };
        let sizes = match is_big_tiff(file) {
            true => BIG_TIFF,
            false => CLASSIC,
        };
        let reader = Reader { file, order, sizes };
        Ok(Self {
            file,
            order,
            entries: reader.entries().ok_or(TRUNCATED)?,
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
