//! A WebSocket's bytes, cut off where a frame announces more than it may hold: the codec
//! behind it would gather such a frame to its end before refusing it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;

use crate::error::ApiError;

pub(super) struct BoundedFrames {
    payload: Payload,
    limit: usize,
    place: Place,
}

/// Where in the frames the bytes that came so far end.
enum Place {
    Head(Vec<u8>),
    Body { left: u64 },
}

impl BoundedFrames {
    pub(super) fn new(payload: Payload, limit: usize) -> Self {
        Self {
            payload,
            limit,
            place: Place::Head(Vec::new()),
        }
    }

    fn follow(&mut self, mut bytes: &[u8]) -> Result<(), ApiError> {
        while !bytes.is_empty() {
            match &mut self.place {
                Place::Body { left } => {
                    let step = bytes
                        .len()
                        .min(usize::try_from(*left).unwrap_or(usize::MAX));
                    bytes = &bytes[step..];
                    *left -= step as u64;
                    if *left == 0 {
                        self.place = Place::Head(Vec::new());
                    }
                }
                Place::Head(head) => {
                    head.push(bytes[0]);
                    bytes = &bytes[1..];
                    if let Some(left) = body_length(head) {
                        if left > self.limit as u64 {
                            return Err(too_large(self.limit));
                        }
                        self.place = match left {
                            0 => Place::Head(Vec::new()),
                            left => Place::Body { left },
                        };
                    }
                }
            }
        }
        Ok(())
    }
}

pub(super) fn too_large(limit: usize) -> ApiError {
    ApiError::TooLarge {
        what: "the frame",
        limit: limit as u64,
        setting: "max_body_bytes",
    }
}

/// What follows a whole head (RFC 6455, 5.2); `None` while the head is not whole.
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
        let next = ready!(Pin::new(&mut self.payload).poll_next(context));
        Poll::Ready(next.map(|bytes| {
            let bytes = bytes?;
            self.follow(&bytes)
                .map_err(|error| PayloadError::Io(io::Error::other(error)))?;
            Ok(bytes)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(bytes: &[u8], pieces: usize) -> Result<(), ApiError> {
        let mut frames = BoundedFrames::new(Payload::None, 300);
        bytes
            .chunks(pieces)
            .try_for_each(|piece| frames.follow(piece))
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
    fn frames_are_followed_however_they_come() {
        let fine = [frame(0), frame(5), frame(300), frame(1), frame(126)].concat();
        let long = [fine.clone(), frame(301)].concat();
        for pieces in [1, 2, 3, 7, 1000] {
            assert!(outcome(&fine, pieces).is_ok(), "{pieces}");
            assert!(outcome(&long, pieces).is_err(), "{pieces}");
            assert!(outcome(&frame(1 << 62), pieces).is_err(), "{pieces}");
            assert!(outcome(&frame(u64::MAX), pieces).is_err(), "{pieces}");
        }
    }
}
