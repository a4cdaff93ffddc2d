//! A stream of documents, one per line, of any length, in bounded memory.

use clipdb_engine::{Engine, EngineError, Incoming, MemoryPermit, blocking};
use std::collections::VecDeque;
use std::sync::Arc;

use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};

use crate::http::body::without_byte_order_mark;
use crate::http::body_reader::BodyReader;
use crate::http::error::ApiError;
use crate::http::state::HttpSettings;
use crate::rest::documents::batch;
use crate::rest::documents::wire::{self, failed};
use crate::rest::multipart::Files;

/// Bytes that arrive at once, and may follow the longest line.
const CHUNK: usize = 64 << 10;

/// The drafts of the body's lines; empty lines are skipped. A line that is too long fails alone; if
/// the body ends early, the stream ends after the last complete line.
pub(super) async fn read(
    engine: &Arc<Engine>,
    settings: &HttpSettings,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<impl Stream<Item = Incoming> + use<>, ApiError> {
    let pace = settings.pace.of_stream();
    let body = BodyReader::open(engine, request, payload, pace).await?;
    let max = settings.max_line_bytes;
    let share = engine.admit_growing(max.saturating_add(CHUNK));
    let state = State {
        body: Some(body),
        lines: LineSplitter::new(max, share),
        ready: VecDeque::new(),
    };
    Ok(stream::unfold(state, |mut state| async move {
        let item = state.next().await?;
        Some((item, state))
    }))
}

struct State {
    /// `None` at its end.
    body: Option<BodyReader>,
    lines: LineSplitter,
    ready: VecDeque<Incoming>,
}

impl State {
    async fn next(&mut self) -> Option<Incoming> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            let batch = self.lines.batch();
            if !batch.is_empty() {
                match blocking(move || batch.into_iter().map(incoming).collect()).await {
                    Ok(ready) => self.ready = ready,
                    Err(error) => return Some(failed(error.into())),
                }
                continue;
            }
            let chunk = match self.body.as_mut()?.next_of_stream().await {
                Ok(Some(chunk)) => self.lines.push(&chunk).await,
                Ok(None) => {
                    self.body = None;
                    self.lines.close_line();
                    Ok(())
                }
                Err(error) => Err(error),
            };
            if let Err(error) = chunk {
                // The current line is incomplete.
                self.body = None;
                return Some(failed(error));
            }
        }
    }
}

fn incoming((line, share): Line) -> Incoming {
    match line {
        Ok(line) => Incoming {
            share: Some(share),
            ..wire::incoming(&line, &mut Files::default())
        },
        Err(error) => failed(error),
    }
}

/// A line or its error, and its memory.
type Line = (Result<Bytes, ApiError>, MemoryPermit);

/// Splits chunks into lines of at most `max` bytes.
struct LineSplitter {
    max: usize,
    current: BytesMut,
    /// The current line is over the limit: its rest is dropped.
    overlong: bool,
    /// No line has ended yet.
    is_first: bool,
    /// The memory of the current line and a chunk.
    share: MemoryPermit,
    ready: VecDeque<Line>,
}

impl LineSplitter {
    fn new(max: usize, share: MemoryPermit) -> Self {
        Self {
            max,
            current: BytesMut::new(),
            overlong: false,
            is_first: true,
            share,
            ready: VecDeque::new(),
        }
    }

    /// The next complete lines.
    fn batch(&mut self) -> Vec<Line> {
        let mut bytes = 0;
        let count = self
            .ready
            .iter()
            .take(batch::DOCUMENTS)
            .take_while(|(line, _)| {
                let fits = bytes < batch::BYTES;
                bytes += line.as_ref().map_or(0, Bytes::len);
                fits
            })
            .count();
        self.ready.drain(..count).collect()
    }

    async fn push(&mut self, chunk: &[u8]) -> Result<(), ApiError> {
        self.share.grow(chunk.len()).await?;
        let mut pieces = chunk.split(|byte| *byte == b'\n');
        if let Some(first) = pieces.next() {
            self.extend(first);
        }
        for piece in pieces {
            self.close_line();
            self.extend(piece);
        }
        self.share.shrink_to(self.current.len());
        Ok(())
    }

    fn extend(&mut self, piece: &[u8]) {
        if self.overlong || self.current.len() + piece.len() > self.max {
            self.overlong = true;
            self.current.clear();
        } else {
            self.current.extend_from_slice(piece);
        }
    }

    fn close_line(&mut self) {
        let mut line = self.current.split().freeze();
        if std::mem::take(&mut self.is_first) {
            line = without_byte_order_mark(line);
        }
        if std::mem::take(&mut self.overlong) {
            let error = EngineError::TooLarge {
                what: "the line",
                limit: self.max as u64,
                setting: "max_line_bytes",
            };
            self.ready.push_back((Err(error.into()), self.share.cut(0)));
        } else if !line.trim_ascii().is_empty() {
            let share = self.share.cut(line.len());
            self.ready.push_back((Ok(line), share));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clipdb_engine::MemoryBudget;

    async fn lines(chunks: &[&str], max: usize) -> Vec<Option<String>> {
        let memory = MemoryBudget::new(1 << 20);
        let mut splitter = LineSplitter::new(max, memory.growing(1 << 16));
        for chunk in chunks {
            splitter.push(chunk.as_bytes()).await.unwrap();
        }
        splitter.close_line();
        let batch = splitter.batch();
        assert!(splitter.batch().is_empty());
        batch
            .into_iter()
            .map(|(line, _)| {
                line.ok()
                    .map(|line| String::from_utf8_lossy(&line).into_owned())
            })
            .collect()
    }

    #[tokio::test]
    async fn lines_are_split_wherever_the_chunks_end() {
        let expected = [
            Some("ab".to_owned()),
            Some("cd".to_owned()),
            Some("e".to_owned()),
        ];
        assert_eq!(lines(&["ab\ncd\ne"], 9).await, expected);
        assert_eq!(
            lines(&["a", "b\n", "\nc", "d\ne", "\n\n"], 9).await,
            expected
        );
        assert_eq!(lines(&["\u{feff}ab\ncd\ne"], 9).await, expected);
    }

    #[tokio::test]
    async fn an_overlong_line_fails_alone() {
        assert_eq!(
            lines(&["ab\ncde", "fg\nh"], 3).await,
            [Some("ab".to_owned()), None, Some("h".to_owned())]
        );
    }

    #[tokio::test]
    async fn batches_are_bounded() {
        let memory = MemoryBudget::new(64 << 20);
        let mut splitter = LineSplitter::new(1 << 20, memory.growing(8 << 20));
        splitter.push("{}\n".repeat(300).as_bytes()).await.unwrap();
        let large = format!("{}\n", "x".repeat(700_000));
        splitter.push(large.repeat(3).as_bytes()).await.unwrap();
        let sizes: Vec<usize> = std::iter::repeat_with(|| splitter.batch().len())
            .take_while(|size| *size > 0)
            .collect();
        assert_eq!(sizes, [128, 128, 46, 1]);
    }
}
