//! Errors of the TIFF decoder.

use crate::image::ImageError;

pub(super) const NAME: &str = "TIFF";

pub(super) const TRUNCATED: ImageError = ImageError::Truncated { format: NAME };

pub(super) fn corrupt(reason: impl Into<String>) -> ImageError {
    ImageError::Corrupt {
        format: NAME,
        reason: reason.into(),
    }
}

pub(super) fn unsupported(reason: impl Into<String>) -> ImageError {
    ImageError::Unsupported {
        format: NAME,
        reason: reason.into(),
    }
}
