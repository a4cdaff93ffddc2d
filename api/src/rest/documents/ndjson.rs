//! A stream of documents, one a line, of any length, in bounded memory.

use std::collections::VecDeque;
use std::sync::Arc;

use actix_web::web;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};

use super::intake;
use crate::engine::{Engine, Incoming};
use crate::error::ApiError;
use crate::rest::body;

/// The drafts of the body's lines; empty lines are passed over. A line that is too
/// long fails alone; a body that breaks off ends the stream after what came whole.
pub(super) fn read(
    engine: Arc<Engine>,
    payload: web::Payload,
    max_line: usize,
) -> impl Stream<Item = Incoming> {
    let state = (LineSplitter::new(max_line), payload, false);
    stream::unfold(state, move |(mut lines, mut payload, mut ended)| {
        let engine = Arc::clone(&engine);
        async move {
            loop {
                if let Some(line) = lines.next() {
                    let item = admit(&engine, line).await;
                    return Some((item, (lines, payload, ended)));
                }
                if ended {
                    return None;
                }
                match body::next_chunk(&mut payload).await {
                    Ok(Some(chunk)) => lines.push(&chunk),
                    Ok(None) => {
                        ended = true;
                        lines.finish();
                    }
                    Err(error) => {
                        let item = Incoming {
                            id: None,
                            draft: Err(error),
                            share: None,
                        };
                        lines.abandon();
                        return Some((item, (lines, payload, true)));
                    }
                }
            }
        }
    })
}

async fn admit(engine: &Engine, line: Result<Bytes, ApiError>) -> Incoming {
    let failed = |error| Incoming {
        id: None,
        draft: Err(error),
        share: None,
    };
    let line = match line {
        Ok(line) => line,
        Err(error) => return failed(error),
    };
    let share = match engine.admit(line.len()).await {
        Ok(share) => share,
        Err(error) => return failed(error),
    };
    match crate::engine::blocking(move || intake::incoming(&line, &mut Vec::new())).await {
        Ok(item) => Incoming {
            share: Some(share),
            ..item
        },
        Err(error) => failed(error),
    }
}

/// Cuts chunks into lines of at most `max` bytes.
struct LineSplitter {
    max: usize,
    open: BytesMut,
    /// The open line is over the limit: its rest is dropped up to the next line.
    overlong: bool,
    ready: VecDeque<Result<Bytes, ApiError>>,
}

impl LineSplitter {
    fn new(max: usize) -> Self {
        Self {
            max,
            open: BytesMut::new(),
            overlong: false,
            ready: VecDeque::new(),
        }
    }

    fn next(&mut self) -> Option<Result<Bytes, ApiError>> {
        self.ready.pop_front()
    }

    fn push(&mut self, chunk: &[u8]) {
        let mut pieces = chunk.split(|byte| *byte == b'\n');
        if let Some(first) = pieces.next() {
            self.extend(first);
        }
        for piece in pieces {
            self.close_line();
            self.extend(piece);
        }
    }

    fn extend(&mut self, piece: &[u8]) {
        if self.overlong || self.open.len() + piece.len() > self.max {
            self.overlong = true;
            self.open.clear();
        } else {
            self.open.extend_from_slice(piece);
        }
    }

    fn close_line(&mut self) {
        if std::mem::take(&mut self.overlong) {
            self.ready.push_back(Err(ApiError::TooLarge {
                what: "the line",
                limit: self.max as u64,
                setting: "max_line_bytes",
            }));
        } else if !self.open.trim_ascii().is_empty() {
            self.ready.push_back(Ok(self.open.split().freeze()));
        }
        self.open.clear();
    }

    fn finish(&mut self) {
        self.close_line();
    }

    /// Forgets the open line, which did not come whole.
    fn abandon(&mut self) {
        self.open.clear();
        self.overlong = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&str], max: usize) -> Vec<Option<String>> {
        let mut splitter = LineSplitter::new(max);
        for chunk in chunks {
            splitter.push(chunk.as_bytes());
        }
        splitter.finish();
        std::iter::from_fn(|| splitter.next())
            .map(|line| {
                line.ok()
                    .map(|line| String::from_utf8_lossy(&line).into_owned())
            })
            .collect()
    }

    #[test]
    fn lines_are_cut_wherever_the_chunks_end() {
        let whole = [
            Some("ab".to_owned()),
            Some("cd".to_owned()),
            Some("e".to_owned()),
        ];
        assert_eq!(lines(&["ab\ncd\ne"], 9), whole);
        assert_eq!(lines(&["a", "b\n", "\nc", "d\ne", "\n\n"], 9), whole);
    }

    #[test]
    fn an_overlong_line_fails_alone() {
        assert_eq!(
            lines(&["ab\ncde", "fg\nh"], 3),
            [Some("ab".to_owned()), None, Some("h".to_owned())]
        );
    }
}
