//! From a file's bytes to the pixels a tower reads, and to thumbnails.
//!
//! A picture is judged by its header ([`inspect`]) before anything is decoded: what it
//! is, how large, what decoding it costs. [`Preprocessor`] then does what Hugging Face's
//! image processors do on Pillow, number for number where the decoder is lossless.
//!
//! Two choices hold for every model: a picture is turned upright by its EXIF orientation
//! first, and transparency is shown over white (transformers does so since version 5;
//! version 4 showed the colour that lay beneath).

mod decode;
mod error;
mod filter;
mod header;
mod jpeg;
mod open_clip_config;
mod orient;
mod pixels;
mod preprocess;
mod processor_config;
mod resize;
mod thumbnail;
mod write;

pub use error::ImageError;
pub use header::{ImageInfo, ImageLimits, decode_cost, inspect};
pub use pixels::Pixels;
pub use preprocess::Preprocessor;
pub use thumbnail::{Thumbnail, thumbnail};
pub use write::png;
