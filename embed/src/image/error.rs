//! What can be wrong with a picture or with a preprocessing configuration.

/// Every variant but `Config` is the sender's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("not an image: {reason}; send JPEG, PNG, WebP, GIF, BMP or TIFF")]
    NotAnImage { reason: String },
    #[error("this kind of {format} cannot be read: {reason}; save it as a plain JPEG or PNG")]
    Unsupported {
        format: &'static str,
        reason: String,
    },
    #[error("the {format} has no pixels ({width} × {height})")]
    Empty {
        format: &'static str,
        width: u32,
        height: u32,
    },
    #[error(
        "the picture has {width} × {height} pixels, more than the {max_pixels} allowed: \
         send a smaller one or raise the limit"
    )]
    TooManyPixels {
        width: u32,
        height: u32,
        max_pixels: u64,
    },
    #[error("the {format} ends early: the file was cut off, send it whole")]
    Truncated { format: &'static str },
    #[error("the {format} is damaged: {reason}")]
    Damaged {
        format: &'static str,
        reason: String,
    },
    /// More work than an image of its size is worth.
    #[error("the {format} costs too much to decode: {reason}; save it as a plain JPEG or PNG")]
    TooCostly {
        format: &'static str,
        reason: String,
    },
    /// Reaches no client: the one that sent the image is gone.
    #[error("decoding was stopped: the result is no longer wanted")]
    Abandoned,
    #[error("preprocessor_config.json: {field}: {reason}")]
    Config { field: &'static str, reason: String },
    #[error("the pixels make no picture: {reason}")]
    Pixels { reason: String },
    #[error("the thumbnail could not be written: {reason}")]
    Thumbnail { reason: String },
}
