//! Judging a picture by its header, before any of it is decoded.

use std::time::Duration;

use ::image::{DynamicImage, ImageFormat, metadata::Orientation};

use super::budget::Budget;
use super::{ImageError, decode, jpeg, others, png, tiff};

/// What a picture may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLimits {
    /// The most pixels (width × height) that are decoded.
    pub max_pixels: u64,
}

impl Default for ImageLimits {
    fn default() -> Self {
        Self {
            max_pixels: 64_000_000,
        }
    }
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageInfo {
    /// `image/jpeg`, `image/png`, `image/webp`, `image/gif`, `image/bmp` or `image/tiff`.
    pub media_type: &'static str,
    /// In pixels, after the EXIF orientation.
    pub width: u32,
    /// In pixels, after the EXIF orientation.
    pub height: u32,
    peak_bytes: u64,
    expected: Duration,
}

/// Reads the header alone. Zero sizes and more than `limits.max_pixels` are refused.
pub fn inspect(bytes: &[u8], limits: &ImageLimits) -> Result<ImageInfo, ImageError> {
    let format = Format::of(bytes)?;
    let budget = Budget::new(&|| true);
    let opened = decode::guarded(format.name, || open(bytes, format, limits, &budget));
    budget.settle(format.name, opened.map(|opened| opened.info(format)))
}

/// The most bytes of memory that decoding and converting the picture takes at one time,
/// beside the file's own bytes.
pub fn decode_cost(info: &ImageInfo) -> u64 {
    info.peak_bytes
}

/// About how long decoding takes a core of a server, as the header lets expect.
pub(crate) fn expected_time(info: &ImageInfo) -> Duration {
    info.expected
}

/// A format that is read, by its signature.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    pub name: &'static str,
    pub format: ImageFormat,
    media_type: &'static str,
}

impl Format {
    pub fn of(bytes: &[u8]) -> Result<Self, ImageError> {
        let (name, format, media_type) = match ::image::guess_format(bytes) {
            Ok(format @ ImageFormat::Jpeg) => ("JPEG", format, "image/jpeg"),
            Ok(format @ ImageFormat::Png) => ("PNG", format, "image/png"),
            Ok(format @ ImageFormat::WebP) => ("WebP", format, "image/webp"),
            Ok(format @ ImageFormat::Gif) => ("GIF", format, "image/gif"),
            Ok(format @ ImageFormat::Bmp) => ("BMP", format, "image/bmp"),
            Ok(format @ ImageFormat::Tiff) => ("TIFF", format, "image/tiff"),
            _ if tiff::is_big(bytes) => ("TIFF", ImageFormat::Tiff, "image/tiff"),
            _ => {
                return Err(ImageError::NotAnImage {
                    reason: foreign(bytes),
                });
            }
        };
        Ok(Self {
            name,
            format,
            media_type,
        })
    }
}

/// Names what people send by mistake.
fn foreign(bytes: &[u8]) -> String {
    let brand = bytes.get(4..12).unwrap_or_default();
    let start = bytes.trim_ascii_start();
    if bytes.is_empty() {
        return "it is empty".to_owned();
    }
    let kind = match brand {
        b"ftypavif" | b"ftypavis" => Some("AVIF"),
        b"ftypheic" | b"ftypheix" | b"ftypmif1" | b"ftypmsf1" => Some("HEIC"),
        _ if brand.starts_with(b"ftyp") => Some("a video"),
        _ if start.starts_with(b"<svg") || start.starts_with(b"<?xml") => Some("SVG or XML"),
        _ if start.starts_with(b"<") => Some("HTML"),
        _ if start.starts_with(b"{") || start.starts_with(b"[") => Some("JSON"),
        _ if start.starts_with(b"%PDF") => Some("PDF"),
        _ if bytes.starts_with(b"PK\x03\x04") => Some("a ZIP archive"),
        _ => None,
    };
    match kind {
        Some(kind) => format!("it looks like {kind}"),
        None => "its first bytes are no known signature".to_owned(),
    }
}

/// An image whose header was read.
pub(super) struct Opened<'a> {
    /// Width and height before the orientation is applied, in pixels.
    pub stored: (u32, u32),
    pub orientation: Orientation,
    /// As [`decode_cost`].
    pub memory: u64,
    /// As [`expected_time`].
    pub expected_ns: u64,
    pub decode: Box<dyn FnOnce() -> Result<DynamicImage, ImageError> + 'a>,
}

impl Opened<'_> {
    pub fn info(&self, format: Format) -> ImageInfo {
        let (width, height) = self.stored;
        let (width, height) = super::orient::upright_size(self.orientation, width, height);
        ImageInfo {
            media_type: format.media_type,
            width,
            height,
            peak_bytes: self.memory,
            expected: Duration::from_nanos(self.expected_ns),
        }
    }
}

pub(super) fn open<'a>(
    bytes: &'a [u8],
    format: Format,
    limits: &ImageLimits,
    budget: &'a Budget<'a>,
) -> Result<Opened<'a>, ImageError> {
    match format.format {
        ImageFormat::Jpeg => jpeg::open(bytes, format, limits, budget),
        ImageFormat::Png => png::open(bytes, format, limits, budget),
        ImageFormat::Tiff => tiff::open(bytes, format, limits, budget),
        _ => others::open(bytes, format, limits, budget),
    }
}

/// Refuses an image without pixels or with too many.
pub(super) fn check_size(
    format: Format,
    (width, height): (u32, u32),
    limits: &ImageLimits,
) -> Result<(), ImageError> {
    if width == 0 || height == 0 {
        return Err(ImageError::Empty {
            format: format.name,
            width,
            height,
        });
    }
    if u64::from(width) * u64::from(height) > limits.max_pixels {
        return Err(ImageError::TooManyPixels {
            width,
            height,
            max_pixels: limits.max_pixels,
        });
    }
    Ok(())
}
