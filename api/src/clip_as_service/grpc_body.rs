//! A gRPC stream's bytes: each message has to arrive in time and is counted as memory.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use tonic::Status;
use tonic::body::Body;

use crate::clip_as_service::meter::{Framing, MessageMeter, Metered, Shares};
use crate::http::pace::Pace;
use clipdb_engine::MemoryPermit;

/// A flag and the message's length.
const HEAD: usize = 5;

pub(super) struct MeteredBody {
    body: Body,
    meter: MessageMeter<Messages>,
}

impl MeteredBody {
    pub(super) fn new(body: Body, share: MemoryPermit, pace: Pace) -> Self {
        Self {
            body,
            meter: MessageMeter::new(Messages::default(), share, pace),
        }
    }

    pub(super) fn shares(&self) -> Shares {
        self.meter.shares()
    }
}

impl HttpBody for MeteredBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let body = &mut this.body;
        let next = this.meter.poll_next(context, |context| {
            loop {
                match ready!(Pin::new(&mut *body).poll_frame(context)) {
                    // A request's trailers are ignored.
                    Some(Ok(frame)) => {
                        if let Ok(bytes) = frame.into_data() {
                            return Poll::Ready(Some(Ok(bytes)));
                        }
                    }
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => return Poll::Ready(None),
                }
            }
        });
        Poll::Ready(ready!(next).map(|bytes| match bytes {
            Ok(bytes) => Ok(Frame::data(bytes)),
            Err(Metered::Broken(status)) => Err(status),
            Err(Metered::Refused(error)) => Err(error.into()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        false
    }
}

#[derive(Default)]
struct Messages {
    head: Vec<u8>,
    /// Of the current message.
    bytes: usize,
    left: usize,
}

impl Framing for Messages {
    fn follow(
        &mut self,
        mut bytes: &[u8],
        ended: &mut Vec<usize>,
    ) -> Result<usize, crate::http::error::ApiError> {
        let counted = bytes.len();
        while !bytes.is_empty() {
            if self.head.len() < HEAD {
                let (head, rest) = bytes.split_at(bytes.len().min(HEAD - self.head.len()));
                self.head.extend_from_slice(head);
                bytes = rest;
                if let [_, length @ ..] = self.head.as_slice()
                    && let Ok(length) = <[u8; 4]>::try_from(length)
                {
                    // tonic refuses an oversized message by its head.
                    self.left = u32::from_be_bytes(length) as usize;
                }
            } else {
                let step = bytes.len().min(self.left);
                self.bytes += step;
                self.left -= step;
                bytes = &bytes[step..];
            }
            if self.head.len() == HEAD && self.left == 0 {
                ended.push(self.bytes);
                *self = Self::default();
            }
        }
        Ok(counted)
    }

    fn begun(&self) -> Option<usize> {
        (!self.head.is_empty()).then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream;

    use super::*;
    use clipdb_engine::MemoryBudget;

    /// A body of pieces, each after a number of seconds.
    struct Slow(std::pin::Pin<Box<dyn stream::Stream<Item = Bytes> + Send>>);

    impl HttpBody for Slow {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            let next = ready!(self.0.as_mut().poll_next(context));
            Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    async fn read(pieces: Vec<(u64, Vec<u8>)>) -> (usize, Option<Status>, usize) {
        let pieces = stream::unfold(pieces.into_iter(), |mut pieces| async move {
            let (seconds, bytes) = pieces.next()?;
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Some((Bytes::from(bytes), pieces))
        });
        let memory = MemoryBudget::new(1 << 20);
        let body = Body::new(Slow(Box::pin(pieces)));
        let mut body = MeteredBody::new(body, memory.growing(1 << 20), Pace::default());
        let shares = body.shares();
        let (mut received, mut error) = (0, None);
        while let Some(frame) =
            std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
        {
            match frame {
                Ok(frame) => received += frame.into_data().unwrap().len(),
                Err(status) => {
                    error = Some(status);
                    break;
                }
            }
        }
        (
            received,
            error,
            std::iter::from_fn(|| shares.next()).count(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_has_to_arrive_in_time_and_a_stream_may_be_idle() {
        let message = vec![0, 0, 0, 0, 2, 7, 7];
        let idle = vec![(1000, message.clone()), (5000, message.clone())];
        let (received, error, complete) = read(idle).await;
        assert_eq!((received, complete), (14, 2));
        assert!(error.is_none());
        let halves = vec![
            (0, message.clone()),
            (1000, message[..6].to_vec()),
            (31, vec![7]),
        ];
        let (received, error, complete) = read(halves).await;
        assert_eq!((received, complete), (13, 1));
        assert_eq!(error.unwrap().code(), tonic::Code::DeadlineExceeded);
    }

    #[test]
    fn messages_are_followed_in_pieces_of_any_size() {
        let message = |length: u32| {
            let mut message = vec![0];
            message.extend(length.to_be_bytes());
            message.resize(HEAD + length as usize, 7);
            message
        };
        let bytes = [message(3), message(0), message(70_000), message(1)].concat();
        for pieces in [1, 4, 5, 6, 1000, 100_000] {
            let mut messages = Messages::default();
            let mut ended = Vec::new();
            for piece in bytes.chunks(pieces) {
                messages.follow(piece, &mut ended).unwrap();
            }
            assert_eq!(ended, [3, 0, 70_000, 1], "{pieces}");
            assert_eq!(messages.begun(), None);
            messages.follow(&message(9)[..7], &mut ended).unwrap();
            assert_eq!(messages.begun(), Some(2));
        }
    }
}
