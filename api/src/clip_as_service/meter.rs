//! Limits the messages of a long-lived connection while they arrive: a message has as much time as
//! a body, and its bytes are counted as memory. Between messages a connection may be idle.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use crate::http::error::ApiError;
use crate::http::pace::{Pace, Pacer};
use clipdb_engine::{Engine, MemoryPermit};

/// Bytes that arrive at once, and may follow the longest message.
const CHUNK: usize = 64 << 10;

/// Finds the messages in a connection's bytes.
pub(super) trait Framing {
    /// Follows `bytes`; returns how many belong to messages, and appends to `ended` the lengths of
    /// the messages that end in them.
    ///
    /// # Errors
    /// A message is too large.
    fn follow(&mut self, bytes: &[u8], ended: &mut Vec<usize>) -> Result<usize, ApiError>;

    /// Bytes received of the current message; `None` between messages.
    fn begun(&self) -> Option<usize>;
}

/// The memory of complete messages, in their order.
#[derive(Clone, Default)]
pub(super) struct Shares(Arc<Mutex<VecDeque<MemoryPermit>>>);

impl Shares {
    /// Returns that of the oldest message that was not returned yet.
    pub(super) fn next(&self) -> Option<MemoryPermit> {
        self.0.lock().pop_front()
    }
}

/// A share for messages of at most `limit` bytes, one after the other.
pub(super) fn share_of(engine: &Engine, limit: usize) -> MemoryPermit {
    engine.admit_growing(limit.saturating_add(CHUNK))
}

pub(super) struct MessageMeter<F> {
    framing: F,
    pacer: Pacer,
    /// `None` while it waits for memory.
    share: Option<MemoryPermit>,
    waiting: Option<Waiting>,
    complete: Shares,
}

/// Received bytes that wait for memory.
type Waiting = (
    Bytes,
    BoxFuture<'static, (MemoryPermit, Result<(), ApiError>)>,
);

impl<F: Framing> MessageMeter<F> {
    /// `share` is [`share_of`] the messages.
    pub(super) fn new(framing: F, share: MemoryPermit, pace: Pace) -> Self {
        Self {
            framing,
            pacer: Pacer::new(pace),
            share: Some(share),
            waiting: None,
            complete: Shares::default(),
        }
    }

    pub(super) fn shares(&self) -> Shares {
        self.complete.clone()
    }

    /// Returns the bytes of `next` once there is memory for them.
    pub(super) fn poll_next<E>(
        &mut self,
        context: &mut Context<'_>,
        mut next: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Bytes, E>>>,
    ) -> Poll<Option<Result<Bytes, Metered<E>>>> {
        loop {
            if let Some((bytes, growth)) = &mut self.waiting {
                let (share, grown) = ready!(growth.as_mut().poll(context));
                let bytes = std::mem::take(bytes);
                self.waiting = None;
                if let Err(error) = grown.and_then(|()| self.follow(share, &bytes)) {
                    return Poll::Ready(Some(Err(Metered::Refused(error))));
                }
                return Poll::Ready(Some(Ok(bytes)));
            }
            let bytes = match next(context) {
                Poll::Ready(Some(Ok(bytes))) => bytes,
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(Metered::Broken(error))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending if self.framing.begun().is_some() => {
                    let error = ready!(self.pacer.poll_too_slow(context));
                    return Poll::Ready(Some(Err(Metered::Refused(error))));
                }
                Poll::Pending => return Poll::Pending,
            };
            let Some(mut share) = self.share.take() else {
                // The stream ended with an error.
                return Poll::Ready(None);
            };
            let length = bytes.len();
            let growth = if share.add(length) {
                Box::pin(std::future::ready((share, Ok(()))))
                    as BoxFuture<'static, (MemoryPermit, Result<(), ApiError>)>
            } else {
                Box::pin(async move {
                    let settled = share.settled().await.map_err(ApiError::from);
                    (share, settled)
                })
            };
            self.waiting = Some((bytes, growth));
        }
    }

    fn follow(&mut self, mut share: MemoryPermit, bytes: &[u8]) -> Result<(), ApiError> {
        let mut ended = Vec::new();
        let counted = self.framing.follow(bytes, &mut ended)?;
        if ended.is_empty() {
            self.pacer.received(counted);
        } else {
            self.pacer.restart();
        }
        let mut complete = self.complete.0.lock();
        complete.extend(ended.into_iter().map(|length| share.cut(length)));
        share.shrink_to(self.framing.begun().unwrap_or(0));
        self.share = Some(share);
        Ok(())
    }
}

pub(super) enum Metered<E> {
    /// The connection's own error.
    Broken(E),
    Refused(ApiError),
}
