//! Recognising an image format by its signature.

use ::image::ImageFormat;

use super::ImageError;

/// A supported format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    pub name: &'static str,
    pub format: ImageFormat,
    pub media_type: &'static str,
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
            _ if is_big_tiff(bytes) => ("TIFF", ImageFormat::Tiff, "image/tiff"),
            _ => {
                return Err(ImageError::NotAnImage {
                    reason: guess_content(bytes),
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

/// Whether this is BigTIFF, the variant with 64-bit offsets.
pub(super) fn is_big_tiff(bytes: &[u8]) -> bool {
    bytes.starts_with(b"II+\0") || bytes.starts_with(b"MM\0+")
}

/// Names the kinds of content that are often sent by mistake.
fn guess_content(bytes: &[u8]) -> String {
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
