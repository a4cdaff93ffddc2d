//! From a file's bytes to the pixels a tower reads, and to thumbnails.
//!
//! A picture is judged by its header ([`inspect`]) before anything is decoded: what it
//! is, how large, what decoding it costs. Decoding is bounded in memory and time and ends when
//! nobody waits for it (`budget`). [`Preprocessor`] then does what Hugging Face's
//! image processors do on Pillow, number for number where the decoder is lossless.
//!
//! Two choices hold for every model: a picture is turned upright by its EXIF orientation
//! first, and transparency is shown over white (transformers does so since version 5;
//! version 4 showed the colour that lay beneath).

mod budget;
mod decode;
mod error;
mod exif;
mod filter;
mod header;
mod jpeg;
mod open_clip_config;
mod orient;
mod others;
mod pixels;
mod png;
mod preprocess;
mod processor_config;
mod resize;
mod thumbnail;
mod tiff;
mod webp;
mod write;

pub(crate) use budget::Wanted;
pub use error::ImageError;
pub(crate) use header::expected_time;
pub use header::{ImageInfo, ImageLimits, decode_cost, inspect};
pub use pixels::Pixels;
pub use preprocess::Preprocessor;
pub(crate) use thumbnail::thumbnail_while;
pub use thumbnail::{Thumbnail, thumbnail};
pub use write::png;
