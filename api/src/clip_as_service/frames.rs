//! Limits a WebSocket's frames and messages by their announced lengths: the codec behind this
//! stream would buffer an oversized frame to its end before refusing it.

use clipdb_engine::MemoryPermit;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;

use crate::clip_as_service::meter::{Framing, MessageMeter, Metered, Shares};
use crate::http::error::ApiError;
use crate::http::pace::Pace;

/// The most frames of one message. Each uses memory, even an empty one.
const FRAGMENTS: usize = 65_536;

pub(super) struct BoundedFrames {
    payload: Payload,
    meter: MessageMeter<Frames>,
}

struct Frames {
    limit: usize,
    state: FrameState,
    /// The current frame is the last one of its message, or a control frame.
    last: bool,
    /// The current frame is a control frame, which may come between the frames of a message.
    control: bool,
    /// Frames and bytes of the current message.
    fragments: usize,
    bytes: usize,
}

/// The part of the current frame that is read.
enum FrameState {
    Head(Vec<u8>),
    Body { left: u64 },
}

impl BoundedFrames {
    pub(super) fn new(payload: Payload, share: MemoryPermit, limit: usize, pace: Pace) -> Self {
        Self {
            payload,
            meter: MessageMeter::new(Frames::new(limit), share, pace),
        }
    }

    /// The memory of its text and binary messages.
    pub(super) fn shares(&self) -> Shares {
        self.meter.shares()
    }
}

impl Frames {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            state: FrameState::Head(Vec::new()),
            last: true,
            control: false,
            fragments: 0,
            bytes: 0,
        }
    }

    fn begin(&mut self, first: u8, length: u64) -> Result<(), ApiError> {
        self.last = first & 0x80 != 0;
        self.control = first & 0x08 != 0;
        if self.control {
            return Ok(());
        }
        self.fragments += 1;
        if length > (self.limit - self.bytes.min(self.limit)) as u64 {
            return Err(too_large(self.limit));
        }
        if self.fragments > FRAGMENTS {
            return Err(ApiError::BrokenSocket(format!(
                "a message has more than {FRAGMENTS} frames"
            )));
        }
        Ok(())
    }

    fn end(&mut self, ended: &mut Vec<usize>) {
        self.state = FrameState::Head(Vec::new());
        if self.last && !self.control {
            ended.push(self.bytes);
            self.fragments = 0;
            self.bytes = 0;
        }
    }
}

impl Framing for Frames {
    fn follow(&mut self, mut bytes: &[u8], ended: &mut Vec<usize>) -> Result<usize, ApiError> {
        let mut counted = 0;
        while !bytes.is_empty() {
            match &mut self.state {
                FrameState::Body { left } => {
                    let step = bytes
                        .len()
                        .min(usize::try_from(*left).unwrap_or(usize::MAX));
                    bytes = &bytes[step..];
                    *left -= step as u64;
                    let is_end = *left == 0;
                    if !self.control {
                        counted += step;
                        self.bytes += step;
                    }
                    if is_end {
                        self.end(ended);
                    }
                }
                FrameState::Head(head) => {
                    head.push(bytes[0]);
                    bytes = &bytes[1..];
                    if let Some(left) = body_length(head) {
                        let first = head[0];
                        self.begin(first, left)?;
                        match left {
                            0 => self.end(ended),
                            left => self.state = FrameState::Body { left },
                        }
                    }
                }
            }
        }
        Ok(counted)
    }

    fn begun(&self) -> Option<usize> {
        let in_frame = match &self.state {
            FrameState::Head(head) => !head.is_empty(),
            FrameState::Body { .. } => true,
        };
        (in_frame || self.fragments > 0).then_some(self.bytes)
    }
}

pub(super) fn too_large(limit: usize) -> ApiError {
    ApiError::too_large("the frame", limit, "max_body_bytes")
}

/// The length of the body after a complete head (RFC 6455, 5.2); `None` for an incomplete head.
fn body_length(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (end, length) = match second & 0x7f {
        126 => (
            4,
            u64::from(u16::from_be_bytes(head.get(2..4)?.try_into().ok()?)),
        ),
        127 => (10, u64::from_be_bytes(head.get(2..10)?.try_into().ok()?)),
        length => (2, u64::from(length)),
    };
    (head.len() == end + mask).then_some(length)
}

impl Stream for BoundedFrames {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let payload = &mut this.payload;
        let next = ready!(this.meter.poll_next(context, |context| {
            Pin::new(&mut *payload).poll_next(context)
        }));
        Poll::Ready(next.map(|bytes| {
            bytes.map_err(|error| match error {
                Metered::Broken(error) => error,
                Metered::Refused(error) => PayloadError::Io(io::Error::other(error)),
            })
        }))
    }
}

/// Follows a whole connection, for the fuzz target: the lengths of its messages, and whether it
/// was refused.
#[cfg(any(fuzzing, test))]
pub(super) fn follow_all(bytes: &[u8], piece: usize, limit: usize) -> (Vec<usize>, bool) {
    let mut frames = Frames::new(limit);
    let mut ended = Vec::new();
    let refused = bytes
        .chunks(piece)
        .any(|bytes| frames.follow(bytes, &mut ended).is_err());
    (ended, refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(bytes: &[u8], pieces: usize) -> Result<(), ApiError> {
        messages(bytes, pieces).map(drop)
    }

    /// The lengths of the messages.
    fn messages(bytes: &[u8], pieces: usize) -> Result<Vec<usize>, ApiError> {
        let mut frames = Frames::new(300);
        let mut ended = Vec::new();
        for piece in bytes.chunks(pieces) {
            frames.follow(piece, &mut ended)?;
        }
        Ok(ended)
    }

    fn frame(length: u64) -> Vec<u8> {
        let mut frame = vec![0x82];
        match length {
            0..126 => frame.push(0x80 | length as u8),
            126..65536 => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend(length.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.resize(frame.len() + length.min(1000) as usize, 0xff);
        frame
    }

    #[test]
    fn frames_are_followed_in_pieces_of_any_size() {
        let fine = [frame(0), frame(5), frame(300), frame(1), frame(126)].concat();
        let long = [fine.clone(), frame(301)].concat();
        for pieces in [1, 2, 3, 7, 1000] {
            assert!(outcome(&fine, pieces).is_ok(), "{pieces}");
            assert!(outcome(&long, pieces).is_err(), "{pieces}");
            assert!(outcome(&frame(1 << 62), pieces).is_err(), "{pieces}");
            assert!(outcome(&frame(u64::MAX), pieces).is_err(), "{pieces}");
        }
    }

    fn head(first: u8, length: u64) -> Vec<u8> {
        let mut frame = frame(length);
        frame[0] = first;
        frame
    }

    #[test]
    fn messages_are_found_between_fragments_and_control_frames() {
        let (text, more, last, ping) = (0x01, 0x00, 0x80, 0x89);
        let bytes = [
            frame(5),
            head(text, 100),
            head(ping, 20),
            head(more, 0),
            head(last, 200),
            head(ping, 0),
            frame(0),
        ]
        .concat();
        for pieces in [1, 3, 1000] {
            assert_eq!(messages(&bytes, pieces).unwrap(), [5, 300, 0], "{pieces}");
        }
        let large = [head(text, 100), head(more, 200), head(more, 1)].concat();
        assert!(messages(&large, 7).is_err());
        let mut frames = Frames::new(300);
        frames.follow(&frame(5), &mut Vec::new()).unwrap();
        assert_eq!(frames.begun(), None);
        frames.follow(&head(text, 100), &mut Vec::new()).unwrap();
        assert_eq!(frames.begun(), Some(100));
    }

    #[test]
    fn empty_fragments_are_limited() {
        let many = [head(0x01, 0), head(0x00, 0).repeat(FRAGMENTS)].concat();
        assert!(outcome(&many, 1000).is_err());
    }
}
