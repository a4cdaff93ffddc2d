//! A request's body as it comes: within its pace, inflated, and counted as memory.

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
use clipdb_engine::{Engine, Share};

/// What is inflated at once.
const PIECE: usize = 64 << 10;
/// A stream may inflate to so much whatever its size.
const INFLATES_FREELY: u64 = 64 << 20;
/// And beyond that to so many times its size.
const INFLATES: u64 = 2000;
/// Longer than an answer takes to be written.
const UNTIL_ANSWERED: Duration = Duration::from_secs(1);

pub(crate) struct BodyReader {
    source: Source,
    encoding: ContentEncoding,
    /// Bytes that came.
    came: Rc<Cell<u64>>,
    /// Bytes that they inflated to.
    inflated: u64,
    /// The decoder's own memory.
    _decoder: Option<Share>,
}

enum Source {
    Plain(Paced<web::Payload>),
    Inflated(Inflated),
}

impl BodyReader {
    /// # Errors
    /// The body's encoding is not known, or there is no memory for its decoder.
    pub(crate) async fn open(
        engine: &Engine,
        request: &HttpRequest,
        payload: web::Payload,
        pace: Pace,
    ) -> Result<Self, ApiError> {
        let encoding = ContentEncoding::of(request)?;
        let paced = Paced::new(payload, pace, close_after_answer);
        let came = Rc::new(Cell::new(0));
        if encoding == ContentEncoding::Identity {
            return Ok(Self {
                source: Source::Plain(paced),
                encoding,
                came,
                inflated: 0,
                _decoder: None,
            });
        }
        let decoder = engine.admit(encoding.window()).await?;
        let counter = Rc::clone(&came);
        let counted = paced.map(move |chunk| {
            chunk
                .inspect(|chunk| counter.set(counter.get() + chunk.len() as u64))
                .map_err(io::Error::other)
        });
        let inflated = encoding
            .inflate(StreamReader::new(counted))
            .await
            .map_err(|error| wrong(encoding, error))?;
        Ok(Self {
            source: Source::Inflated(inflated),
            encoding,
            came,
            inflated: 0,
            _decoder: Some(decoder),
        })
    }

    /// What comes next of the body.
    ///
    /// # Errors
    /// The client is too slow, has gone, or sent what is not of its encoding.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        match &mut self.source {
            Source::Plain(paced) => paced.next().await.transpose(),
            Source::Inflated(inflated) => {
                let mut piece = BytesMut::with_capacity(PIECE);
                let read = inflated.read_buf(&mut piece).await;
                let read = read.map_err(|error| wrong(self.encoding, error))?;
                self.inflated += read as u64;
                let piece = (read > 0).then(|| piece.freeze());
                // Much may come of little: others on this thread have their turn.
                tokio::task::yield_now().await;
                Ok(piece)
            }
        }
    }

    /// The same of a stream of any length, whose size is no limit: what inflates out of all
    /// proportion is refused.
    pub(crate) async fn next_of_stream(&mut self) -> Result<Option<Bytes>, ApiError> {
        let piece = self.next().await?;
        let most = (self.came.get() * INFLATES).max(INFLATES_FREELY);
        if self.inflated > most {
            return Err(ApiError::InflatesTooMuch(INFLATES));
        }
        Ok(piece)
    }

    /// All of the body, at most `limit` bytes, whose memory `share` takes.
    pub(crate) async fn read_to_end(
        mut self,
        share: &mut Share,
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

/// The rest of a body that is too slow is not waited for: while it has an owner, the server
/// closes the connection behind its answer; without one it would read a chunked body to its end.
fn close_after_answer(payload: web::Payload) {
    actix_web::rt::spawn(async move {
        tokio::time::sleep(UNTIL_ANSWERED).await;
        drop(payload);
    });
}

/// The error of reading, or that the bytes are not what they are said to be.
fn wrong(encoding: ContentEncoding, error: io::Error) -> ApiError {
    error
        .downcast::<ApiError>()
        .unwrap_or_else(|error| ApiError::BrokenEncoding(encoding.name(), error.to_string()))
}
