//! Judging a picture by its header, before any of it is decoded.

use std::io::Cursor;

use ::image::{ImageDecoder, ImageFormat, ImageReader, Limits, metadata::Orientation};

use super::{ImageError, decode, jpeg};

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
}

/// Reads the header alone. Zero sizes and more than `limits.max_pixels` are refused.
pub fn inspect(bytes: &[u8], limits: &ImageLimits) -> Result<ImageInfo, ImageError> {
    let format = Format::of(bytes)?;
    decode::guarded(format.name, || open(bytes, format, limits)).map(|header| header.info)
}

/// The most bytes of memory that decoding and converting the picture takes at one time,
/// beside the file's own bytes.
pub fn decode_cost(info: &ImageInfo) -> u64 {
    info.peak_bytes
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

/// A decoder that has read its header, and what that header says.
pub(super) struct Header<'a> {
    pub info: ImageInfo,
    pub orientation: Orientation,
    pub decoder: Box<dyn ImageDecoder + 'a>,
}

/// Beside the pixels: tables, one frame's palette, metadata.
const DECODER_SLACK: u64 = 32 << 20;

pub(super) fn open<'a>(
    bytes: &'a [u8],
    format: Format,
    limits: &ImageLimits,
) -> Result<Header<'a>, ImageError> {
    let damage = |error| decode::explain(format.name, error);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format.format);
    // PNG's decoder takes its limit when it is made, before a size is known: 16 bytes
    // (four channels of 16 bits, twice) for every pixel that could be allowed.
    reader.limits(allowance(
        limits
            .max_pixels
            .saturating_mul(16)
            .saturating_add(DECODER_SLACK),
    ));
    let mut decoder = reader.into_decoder().map_err(damage)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(ImageError::Empty {
            format: format.name,
            width,
            height,
        });
    }
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits.max_pixels {
        return Err(ImageError::TooManyPixels {
            width,
            height,
            max_pixels: limits.max_pixels,
        });
    }
    let color = decoder.color_type();
    // The conversion to 8-bit RGB(A) and the decoder's own working memory are not
    // alive at the same time, the decoded picture is beside either.
    let converted = if color.has_alpha() { 4 } else { 3 };
    let working = working_bytes(format.format, bytes);
    let per_pixel = u64::from(color.bytes_per_pixel()) + working.max(converted);
    let input_copy = match format.format {
        ImageFormat::Jpeg => bytes.len() as u64,
        _ => 0,
    };
    let peak_bytes = pixels * per_pixel + input_copy;
    decoder
        .set_limits(allowance(peak_bytes.saturating_add(DECODER_SLACK)))
        .map_err(damage)?;
    // Unreadable metadata is no reason to refuse the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let (width, height) = super::orient::upright_size(orientation, width, height);
    Ok(Header {
        info: ImageInfo {
            media_type: format.media_type,
            width,
            height,
            peak_bytes,
        },
        orientation,
        decoder: Box::new(decoder),
    })
}

/// Bytes per pixel that a decoder holds beside its output.
fn working_bytes(format: ImageFormat, bytes: &[u8]) -> u64 {
    match format {
        // The coefficients of the whole picture, 16 bits for up to four components.
        ImageFormat::Jpeg if jpeg::is_progressive(bytes) => 8,
        ImageFormat::Jpeg => 0,
        // An animation's canvas beside the frame.
        ImageFormat::WebP => 8,
        ImageFormat::Gif => 5,
        // CMYK of up to 16 bits before it becomes RGB.
        ImageFormat::Tiff => 8,
        _ => 0,
    }
}

fn allowance(bytes: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(bytes);
    limits
}
