//! Compressed bodies (`Content-Encoding`), decompressed piece by piece: the limit of the size is
//! checked before a small body becomes a large one.

use std::io;
use std::pin::Pin;

use actix_web::HttpRequest;
use actix_web::http::header;
use async_compression::tokio::bufread::{
    BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
};
use async_compression::zstd::DParameter;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead};

use crate::http::error::ApiError;

/// The largest window that a zstd decoder has to support (RFC 8878, 3.1.1.1.2): 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

pub(crate) type Inflated = Pin<Box<dyn AsyncRead>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentEncoding {
    Identity,
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl ContentEncoding {
    /// # Errors
    /// [`ApiError::UnknownEncoding`]: an unsupported encoding, or more than one.
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        let mut found = Self::Identity;
        for value in request.headers().get_all(header::CONTENT_ENCODING) {
            let given = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
            for name in given.split(',').map(str::trim) {
                let one = match name {
                    "" | "identity" => continue,
                    "gzip" | "x-gzip" => Self::Gzip,
                    "deflate" => Self::Deflate,
                    "br" => Self::Brotli,
                    "zstd" => Self::Zstd,
                    _ => return Err(ApiError::UnknownEncoding(name.to_owned())),
                };
                if found != Self::Identity {
                    return Err(ApiError::UnknownEncoding(given));
                }
                found = one;
            }
        }
        Ok(found)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// Bytes that a decoder keeps in memory.
    pub(crate) fn window(self) -> usize {
        match self {
            Self::Identity => 0,
            Self::Gzip | Self::Deflate => 64 << 10,
            Self::Brotli => 16 << 20,
            Self::Zstd => 1 << ZSTD_WINDOW_LOG,
        }
    }

    /// Decompresses `body`.
    pub(crate) async fn inflate<R: AsyncBufRead + Unpin + 'static>(
        self,
        mut body: R,
    ) -> io::Result<Inflated> {
        Ok(match self {
            Self::Identity => Box::pin(body),
            Self::Gzip => {
                let mut decoder = GzipDecoder::new(body);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
            // The name means zlib's format; some clients send raw deflate.
            Self::Deflate if is_zlib(body.fill_buf().await?) => Box::pin(ZlibDecoder::new(body)),
            Self::Deflate => Box::pin(DeflateDecoder::new(body)),
            Self::Brotli => Box::pin(BrotliDecoder::new(body)),
            Self::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
                let mut decoder = ZstdDecoder::with_params(body, &[window]);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
        })
    }
}

/// Looks for the header of RFC 1950; one byte suffices if no more was received yet.
fn is_zlib(beginning: &[u8]) -> bool {
    match beginning {
        [first, second, ..] => {
            first & 0x0f == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31)
        }
        [first] => *first == 0x78,
        [] => true,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn one_supported_encoding_is_accepted() {
        let of = |value: &str| {
            let request = TestRequest::post().insert_header((header::CONTENT_ENCODING, value));
            ContentEncoding::of(&request.to_http_request())
        };
        for (value, encoding) in [
            ("gzip", ContentEncoding::Gzip),
            ("X-GZip", ContentEncoding::Gzip),
            ("br", ContentEncoding::Brotli),
            ("identity, zstd", ContentEncoding::Zstd),
            ("deflate", ContentEncoding::Deflate),
            ("", ContentEncoding::Identity),
        ] {
            assert_eq!(of(value).unwrap(), encoding, "{value}");
        }
        for value in ["compress", "gzip, br", "utf-8", "gzip;q=1"] {
            assert!(
                matches!(of(value), Err(ApiError::UnknownEncoding(_))),
                "{value}"
            );
        }
    }
}
