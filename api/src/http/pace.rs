//! How slowly a client may send: a body below the minimum rate for too long is aborted.
//! Only the time spent waiting for the client counts, not the server's own.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep};

use crate::http::error::ApiError;

#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long a client may send below the minimum rate.
    pub patience: Duration,
    /// In bytes a second.
    pub least_rate: u64,
    /// The longest wait for one body that is held in memory.
    pub deadline: Duration,
}

/// The longest wait for a stream, which is not held in memory.
const STREAM_DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for Pace {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(30),
            least_rate: 500,
            deadline: Duration::from_secs(60 * 60),
        }
    }
}

impl Pace {
    /// The same for a stream of any length.
    pub fn of_stream(self) -> Self {
        Self {
            deadline: self.deadline.max(STREAM_DEADLINE),
            ..self
        }
    }
}

/// Measures one sender. Received bytes earn it waiting time, at most the patience; waiting
/// spends it.
pub struct Pacer {
    pace: Pace,
    earned: Duration,
    waited: Duration,
    /// Since when the server waits for the sender.
    waiting: Option<Instant>,
    /// When the last wait ended.
    rested: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Pacer {
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            earned: pace.patience,
            waited: Duration::ZERO,
            waiting: None,
            rested: Instant::now(),
            alarm: None,
        }
    }

    /// Starts again for the sender's next message.
    pub fn restart(&mut self) {
        *self = Self::new(self.pace);
    }

    /// Counts `bytes` that were received.
    pub fn received(&mut self, bytes: usize) {
        let now = Instant::now();
        if let Some(since) = self.waiting.take() {
            let waited = now - since;
            self.waited += waited;
            self.earned = self.earned.saturating_sub(waited);
        }
        let earned = bytes as f64 / self.pace.least_rate.max(1) as f64;
        self.earn(Duration::from_secs_f64(earned));
        self.rested = now;
    }

    fn earn(&mut self, time: Duration) {
        self.earned = (self.earned + time).min(self.pace.patience);
    }

    /// Nothing was received: ready once the sender is too slow.
    pub fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<ApiError> {
        let since = match self.waiting {
            Some(since) => since,
            None => {
                let now = Instant::now();
                // The server's own time does not count.
                self.earn(now - self.rested);
                self.waiting = Some(now);
                now
            }
        };
        let left = self.pace.deadline.saturating_sub(self.waited);
        let until = since + self.earned.min(left);
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        if alarm.deadline() != until {
            alarm.as_mut().reset(until);
        }
        alarm.as_mut().poll(context).map(|()| self.too_slow(left))
    }

    fn too_slow(&self, left: Duration) -> ApiError {
        let Pace {
            patience,
            least_rate,
            deadline,
        } = self.pace;
        ApiError::SlowBody(if left < self.earned {
            format!(
                "it took more than {} seconds ('body_deadline_seconds')",
                deadline.as_secs()
            )
        } else {
            format!(
                "for {} seconds it was slower than {least_rate} bytes a second \
                 ('body_timeout_seconds', 'min_body_rate')",
                patience.as_secs()
            )
        })
    }
}

/// A stream of bytes that ends with an error if its sender is too slow.
pub struct Paced<S> {
    stream: Option<S>,
    pacer: Pacer,
    /// Receives a stream that was too slow.
    on_slow: fn(S),
}

impl<S> Paced<S> {
    pub fn new(stream: S, pace: Pace, on_slow: fn(S)) -> Self {
        Self {
            stream: Some(stream),
            pacer: Pacer::new(pace),
            on_slow,
        }
    }
}

impl<S, E> Stream for Paced<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    type Item = Result<Bytes, ApiError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(stream) = &mut this.stream else {
            return Poll::Ready(None);
        };
        match Pin::new(stream).poll_next(context) {
            Poll::Ready(Some(Ok(chunk))) => {
                this.pacer.received(chunk.len());
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(Some(Err(error))) => {
                Poll::Ready(Some(Err(ApiError::BrokenBody(error.to_string()))))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => this.pacer.poll_too_slow(context).map(|error| {
                if let Some(stream) = this.stream.take() {
                    (this.on_slow)(stream);
                }
                Some(Err(error))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    const PACE: Pace = Pace {
        patience: Duration::from_secs(30),
        least_rate: 500,
        deadline: Duration::from_secs(3600),
    };

    /// Reads pieces of `bytes`, one every `every`, each processed for `work`; returns how many
    /// were received in `limit` seconds and whether the stream was aborted.
    async fn read(bytes: usize, every: Duration, work: Duration, limit: u64) -> (u64, bool) {
        let pieces = stream::unfold((), move |()| async move {
            tokio::time::sleep(every).await;
            let piece = Ok::<_, std::io::Error>(Bytes::from(vec![0; bytes]));
            Some((piece, ()))
        });
        let mut paced = Paced::new(Box::pin(pieces), PACE, drop);
        let begun = Instant::now();
        let mut came = 0;
        while begun.elapsed() < Duration::from_secs(limit) {
            match paced.next().await {
                Some(Ok(_)) => came += 1,
                Some(Err(error)) => {
                    assert!(matches!(error, ApiError::SlowBody(_)), "{error}");
                    return (came, true);
                }
                None => break,
            }
            tokio::time::sleep(work).await;
        }
        (came, false)
    }

    const NONE: Duration = Duration::ZERO;

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_aborted() {
        assert_eq!(
            read(1, Duration::from_secs(20), NONE, 1000).await,
            (1, true)
        );
        assert_eq!(
            read(1, Duration::from_secs(40), NONE, 1000).await,
            (0, true)
        );
        let (_, ended) = read(400, Duration::from_secs(1), NONE, 1000).await;
        assert!(ended, "a little too slow, for long");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_connection_is_tolerated() {
        let (_, ended) = read(20_000, Duration::from_secs(25), NONE, 3000).await;
        assert!(!ended, "with pauses");
        let (_, ended) = read(100_000, Duration::from_secs(1), NONE, 3000).await;
        assert!(!ended);
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_s_own_time_does_not_count() {
        let (came, ended) = read(1, Duration::from_secs(1), Duration::from_secs(60), 10_000).await;
        assert!(!ended && came > 100, "{came}");
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_a_deadline() {
        let (came, ended) = read(1000, Duration::from_secs(1), NONE, 10_000).await;
        assert!(ended && (3500..3610).contains(&came), "{came}");
        assert!(PACE.of_stream().deadline > PACE.deadline);
    }
}
