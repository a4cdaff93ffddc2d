//! Image files: inspection, decoding, preprocessing for an image tower, and thumbnails.
//!
//! [`inspect`] reads only the header: format, size and the cost of decoding. Decoding is bounded
//! in memory and time, and stops when the client disconnects (`budget`). [`Preprocessor`] then
//! reproduces Hugging Face's image processors on Pillow, bit for bit for lossless formats.
//!
//! Two rules apply to every model. The EXIF orientation is applied first. Transparent images are
//! composited over white, as transformers does from version 5 on; version 4 dropped the alpha
//! channel and showed the colour beneath it.

mod budget;
mod decode;
mod encode_png;
mod error;
mod exif;
mod filter;
mod format;
mod header;
mod jpeg;
mod open_clip_config;
mod orient;
mod pixels;
mod png;
mod preprocess;
mod processor_config;
mod resize;
mod rgb;
mod thumbnail;
mod tiff;
mod webp;
mod webp_gif_bmp;

pub(crate) use budget::IsWanted;
pub use decode::inspect;
pub use encode_png::png;
pub use error::ImageError;
pub(crate) use header::expected_time;
pub use header::{ImageInfo, ImageLimits, decode_cost};
pub use pixels::Pixels;
pub use preprocess::Preprocessor;
pub(crate) use thumbnail::thumbnail_while;
pub use thumbnail::{Thumbnail, thumbnail};
