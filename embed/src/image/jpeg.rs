//! JPEG by libjpeg-turbo, and what its markers say.
//!
//! Decoders may interpolate colour and round as they like. Models were trained on what
//! Pillow shows, which is libjpeg's; other decoders differ by up to 23 levels at the edges
//! of pictures with halved colour.

use ::image::RgbImage;
use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat};

const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: u8 = 0xD9;

/// The pixels of a picture in colour or grey. `None` for the inks of printing, which
/// libjpeg leaves as they are, and for a file that it warns of, where another decoder may
/// see more.
pub(super) fn pixels(bytes: &[u8]) -> Option<RgbImage> {
    let mut decompressor = Decompressor::new().ok()?;
    let header = decompressor.read_header(bytes).ok()?;
    if matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK) {
        return None;
    }
    let (width, height) = (header.width, header.height);
    let mut picture = RgbImage::new(width.try_into().ok()?, height.try_into().ok()?);
    let output = Image {
        pixels: &mut *picture,
        width,
        pitch: 3 * width,
        height,
        format: PixelFormat::RGB,
    };
    decompressor.decompress(bytes, output).ok()?;
    Some(picture)
}

/// Whether the end-of-image marker is there, after at least one scan: decoders fill the
/// missing part of a file that was cut off with grey and report success.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    let mut scans = 0;
    for marker in Markers::of(bytes) {
        match marker {
            START_OF_SCAN => scans += 1,
            END_OF_IMAGE => return scans > 0,
            _ => {}
        }
    }
    false
}

/// By the first start-of-frame marker: progressive ones are 2, 6, 10 and 14.
pub(super) fn is_progressive(bytes: &[u8]) -> bool {
    Markers::of(bytes)
        .take_while(|marker| *marker != START_OF_SCAN)
        .any(|marker| matches!(marker, 0xC2 | 0xC6 | 0xCA | 0xCE))
}

/// Walks from marker to marker, over segments by their length and over entropy-coded
/// data by its stuffing, so that a thumbnail inside a segment is not taken for the end.
struct Markers<'a> {
    rest: &'a [u8],
}

impl<'a> Markers<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes.get(2..).unwrap_or_default(),
        }
    }
}

impl Iterator for Markers<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            let start = self.rest.iter().position(|byte| *byte == 0xFF)?;
            let after = &self.rest[start + 1..];
            let fill = after.iter().position(|byte| *byte != 0xFF)?;
            let marker = after[fill];
            self.rest = &after[fill + 1..];
            match marker {
                // Stuffing, restart intervals and the temporary marker have no segment.
                0x00 | 0x01 | 0xD0..=0xD8 => {}
                END_OF_IMAGE => return Some(marker),
                _ => {
                    let length = self.rest.first_chunk::<2>().copied()?;
                    let length = usize::from(u16::from_be_bytes(length));
                    self.rest = self.rest.get(length..)?;
                    return Some(marker);
                }
            }
        }
    }
}
