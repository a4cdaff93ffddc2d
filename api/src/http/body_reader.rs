//! A request's body as a stream: at the least rate, decompressed, and counted as memory.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::io::AsyncReadExt;
use tokio_util::io::StreamReader;

use crate::http::content_encoding::{ContentEncoding, Inflated};
use crate::http::error::ApiError;
use crate::http::pace::{Pace, Paced};
use clipdb_engine::{Engine, MemoryPermit};

/// Bytes that are decompressed at a time.
const PIECE: usize = 64 << 10;
/// A stream may decompress to this many bytes regardless of its size.
const FREE_BYTES: u64 = 64 << 20;
/// Beyond that, to this many times its size.
const MAX_RATIO: u64 = 2000;
/// Longer than it takes to write a response.
const RESPONSE_TIME: Duration = Duration::from_secs(1);

pub(crate) struct BodyReader {
    source: Source,
    encoding: ContentEncoding,
    /// Bytes received.
    received: Rc<Cell<u64>>,
    /// Bytes that they decompressed to.
    inflated: u64,
    /// The decoder's own memory.
    _decoder: Option<MemoryPermit>,
}

enum Source {
    Plain(Paced<web::Payload>),
    Inflated(Inflated),
}

impl BodyReader {
    /// # Errors
    /// The body's encoding is not supported, or there is no memory for its decoder.
    pub(crate) async fn open(
        engine: &Engine,
        request: &HttpRequest,
        payload: web::Payload,
        pace: Pace,
    ) -> Result<Self, ApiError> {
        let encoding = ContentEncoding::of(request)?;
        let paced = Paced::new(payload, pace, close_after_response);
        let received = Rc::new(Cell::new(0));
        if encoding == ContentEncoding::Identity {
            return Ok(Self {
                source: Source::Plain(paced),
                encoding,
                received,
                inflated: 0,
                _decoder: None,
            });
        }
        let decoder = engine.admit(encoding.window()).await?;
        let counter = Rc::clone(&received);
        let counted = paced.map(move |chunk| {
            chunk
                .inspect(|chunk| counter.set(counter.get() + chunk.len() as u64))
                .map_err(io::Error::other)
        });
        let inflated = encoding
            .inflate(StreamReader::new(counted))
            .await
            .map_err(|error| read_error(encoding, error))?;
        Ok(Self {
            source: Source::Inflated(inflated),
            encoding,
            received,
            inflated: 0,
            _decoder: Some(decoder),
        })
    }

    /// Returns the next piece of the body, `None` at its end.
    ///
    /// # Errors
    /// The client is too slow, has disconnected, or sent data that is not valid in its encoding.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        match &mut self.source {
            Source::Plain(paced) => paced.next().await.transpose(),
            Source::Inflated(inflated) => {
                let mut piece = BytesMut::with_capacity(PIECE);
                let read = inflated.read_buf(&mut piece).await;
                let read = read.map_err(|error| read_error(self.encoding, error))?;
                self.inflated += read as u64;
                let piece = (read > 0).then(|| piece.freeze());
                // A small input may decompress to a lot: let other tasks of this thread run.
                tokio::task::yield_now().await;
                Ok(piece)
            }
        }
    }

    /// The same for a stream of any length, which is limited by its compression ratio instead of
    /// its size.
    pub(crate) async fn next_of_stream(&mut self) -> Result<Option<Bytes>, ApiError> {
        let piece = self.next().await?;
        let most = (self.received.get() * MAX_RATIO).max(FREE_BYTES);
        if self.inflated > most {
            return Err(ApiError::InflatesTooMuch(MAX_RATIO));
        }
        Ok(piece)
    }

    /// Reads the rest of the body, at most `limit` bytes, and counts them in `share`.
    pub(crate) async fn read_to_end(
        mut self,
        share: &mut MemoryPermit,
        limit: usize,
    ) -> Result<Bytes, ApiError> {
        let mut bytes = BytesMut::new();
        while let Some(chunk) = self.next().await? {
            if bytes.len() + chunk.len() > limit {
                return Err(ApiError::body_too_large(limit));
            }
            share.grow(chunk.len()).await?;
            bytes.extend_from_slice(&chunk);
        }
        share.seal();
        Ok(bytes.freeze())
    }
}

/// Keeps the payload of a slow client until the response is written: while the payload has an
/// owner, the server closes the connection after the response; otherwise it would read a chunked
/// body to its end.
fn close_after_response(payload: web::Payload) {
    actix_web::rt::spawn(async move {
        tokio::time::sleep(RESPONSE_TIME).await;
        drop(payload);
    });
}

/// The error of the connection, or of the decoder.
fn read_error(encoding: ContentEncoding, error: io::Error) -> ApiError {
    error
        .downcast::<ApiError>()
        .unwrap_or_else(|error| ApiError::BrokenEncoding(encoding.name(), error.to_string()))
}
