//! Errors of images and of preprocessing configurations, and the conversion of decoders' own
//! errors and panics.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why an image or a preprocessing configuration cannot be used. The sender of the image can
/// fix every variant except [`Config`](Self::Config).
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The bytes have no signature of a supported format.
    #[error("not an image: {reason}; send JPEG, PNG, WebP, GIF, BMP or TIFF")]
    NotAnImage {
        /// The best guess at the content.
        reason: String,
    },
    /// The format is supported, this variant of it is not.
    #[error("this kind of {format} cannot be read: {reason}; save it as a plain JPEG or PNG")]
    Unsupported {
        /// Name of the format.
        format: &'static str,
        /// The unsupported feature.
        reason: String,
    },
    /// The width or the height is zero.
    #[error("the {format} has no pixels ({width} × {height})")]
    Empty {
        /// Name of the format.
        format: &'static str,
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
    },
    /// The image is larger than [`ImageLimits::max_pixels`](super::ImageLimits::max_pixels).
    #[error(
        "the image has {width} × {height} pixels, more than the {max_pixels} allowed: \
         send a smaller one or raise the limit"
    )]
    TooManyPixels {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
        /// The limit, in pixels.
        max_pixels: u64,
    },
    /// The file ends before its pixels are complete.
    #[error("the {format} is truncated: send the complete file")]
    Truncated {
        /// Name of the format.
        format: &'static str,
    },
    /// The file contradicts itself or its format.
    #[error("the {format} is corrupt: {reason}")]
    Corrupt {
        /// Name of the format.
        format: &'static str,
        /// The contradiction, or the decoder's own message.
        reason: String,
    },
    /// Decoding takes more work than an image of this size justifies.
    #[error("the {format} costs too much to decode: {reason}; save it as a plain JPEG or PNG")]
    TooCostly {
        /// Name of the format.
        format: &'static str,
        /// The exceeded bound.
        reason: String,
    },
    /// The client disconnected, so no client receives this error.
    #[error("decoding was stopped: the result is no longer wanted")]
    Abandoned,
    /// The preprocessing configuration asks for something that is not supported.
    #[error("preprocessor_config.json: {field}: {reason}")]
    Config {
        /// Name of the field in the file.
        field: &'static str,
        /// The problem with its value.
        reason: String,
    },
    /// The raw pixels do not match the size that comes with them.
    #[error("the pixels do not form an image: {reason}")]
    Pixels {
        /// The mismatch.
        reason: String,
    },
    /// The thumbnail could not be resized or encoded.
    #[error("the thumbnail could not be written: {reason}")]
    Thumbnail {
        /// The encoder's message.
        reason: String,
    },
}

/// Runs a decoder. A panic in it counts as a corrupt file: decoders of other crates may panic
/// on one.
pub(super) fn guarded<T>(
    format: &'static str,
    work: impl FnOnce() -> Result<T, ImageError>,
) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(ImageError::Corrupt {
            format,
            reason: "its decoder gave up".to_owned(),
        })
    })
}

/// Converts an error of the `image` crate.
pub(super) fn explain(format: &'static str, error: ::image::ImageError) -> ImageError {
    match error {
        ::image::ImageError::IoError(error) => explain_io(format, &error),
        ::image::ImageError::Unsupported(error) => ImageError::Unsupported {
            format,
            reason: error.to_string(),
        },
        ::image::ImageError::Limits(_) => too_much_memory(format),
        error => ImageError::Corrupt {
            format,
            reason: error.to_string(),
        },
    }
}

/// Converts an I/O error of a decoder. Its input is in memory, so an error means that the
/// file is truncated or corrupt.
pub(super) fn explain_io(format: &'static str, error: &std::io::Error) -> ImageError {
    match error.kind() {
        ErrorKind::UnexpectedEof => ImageError::Truncated { format },
        _ => ImageError::Corrupt {
            format,
            reason: error.to_string(),
        },
    }
}

/// The error for a file that needs more memory than its size justifies.
pub(super) fn too_much_memory(format: &'static str) -> ImageError {
    ImageError::Corrupt {
        format,
        reason: "it asks for more memory than its size accounts for".to_owned(),
    }
}
