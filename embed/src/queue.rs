//! The queue of inputs for a model's device threads, one per replica.
//!
//! Searches precede ingest. Texts and images are batched separately. A batch consists of the inputs
//! that wait when a device becomes free, so an idle encoder adds no delay. [`Queue::permit`] bounds
//! the number of waiting inputs by making senders wait. No input is dropped, unless its client
//! disconnects.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::image::Pixels;
use crate::statistics::Counters;
use crate::{EmbedError, Embedding, TextTokens};

/// After this many consecutive batches of searches, a waiting batch of ingest is next.
const SEARCHES_IN_A_ROW: u32 = 16;

/// The priority of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Priority {
    /// A client waits for the result.
    Search,
    /// Documents that are added to a collection.
    Ingest,
}

/// The permission for one input to wait, held until the input is answered.
pub(crate) struct QueuePermit {
    _permit: OwnedSemaphorePermit,
}

/// An input in the queue.
pub(crate) struct Entry<I> {
    pub input: I,
    pub reply: oneshot::Sender<Result<Embedded, EmbedError>>,
    pub _permit: QueuePermit,
}

/// The result for one input.
pub(crate) struct Embedded {
    pub embedding: Embedding,
    /// The time of its batch in the model.
    pub model: Duration,
}

/// The inputs that are computed together.
pub(crate) enum Batch {
    Texts(Vec<Entry<TextTokens>>),
    Images(Vec<Entry<Pixels>>),
}

/// The limits of a batch.
pub(crate) struct Limits {
    pub texts: usize,
    pub images: usize,
    /// The time that a partial batch of ingest waits for more inputs.
    pub delay: Duration,
}

/// The queue.
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    search_permits: Arc<Semaphore>,
    ingest_permits: Arc<Semaphore>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct State {
    search: Lane,
    ingest: Lane,
    searches_in_a_row: u32,
    closed: bool,
}

/// The waiting inputs of one priority, with their time of arrival.
#[derive(Default)]
pub(crate) struct Lane {
    texts: VecDeque<(Instant, Entry<TextTokens>)>,
    images: VecDeque<(Instant, Entry<Pixels>)>,
}

/// A kind of input. Each has a line in a lane.
pub(crate) trait Input: Sized {
    fn line(lane: &mut Lane) -> &mut VecDeque<(Instant, Entry<Self>)>;
}

impl Input for TextTokens {
    fn line(lane: &mut Lane) -> &mut VecDeque<(Instant, Entry<Self>)> {
        &mut lane.texts
    }
}

impl Input for Pixels {
    fn line(lane: &mut Lane) -> &mut VecDeque<(Instant, Entry<Self>)> {
        &mut lane.images
    }
}

impl Queue {
    /// At most `capacity` inputs of each priority may wait.
    pub fn new(capacity: usize, counters: Arc<Counters>) -> Self {
        let permits = || Arc::new(Semaphore::new(capacity.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            search_permits: permits(),
            ingest_permits: permits(),
            counters,
        }
    }

    /// Raises the number of inputs of each priority that may wait.
    pub fn add_permits(&self, count: usize) {
        self.search_permits.add_permits(count);
        self.ingest_permits.add_permits(count);
    }

    /// Waits for the permission to push one input.
    pub async fn permit(&self, priority: Priority) -> Result<QueuePermit, EmbedError> {
        let permits = match priority {
            Priority::Search => &self.search_permits,
            Priority::Ingest => &self.ingest_permits,
        };
        match Arc::clone(permits).acquire_owned().await {
            Ok(permit) => Ok(QueuePermit { _permit: permit }),
            Err(_) => Err(EmbedError::Stopped),
        }
    }

    /// Appends an input.
    ///
    /// # Errors
    /// [`EmbedError::Stopped`] if the queue is closed.
    pub fn push<I: Input>(&self, priority: Priority, entry: Entry<I>) -> Result<(), EmbedError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(EmbedError::Stopped);
        }
        I::line(state.lane(priority)).push_back((Instant::now(), entry));
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for the next batch and returns it with its priority; `None` if the queue is closed and
    /// empty.
    pub fn next(&self, limits: &Limits) -> Option<(Priority, Batch)> {
        let mut state = self.state.lock();
        loop {
            let abandoned = state.search.drop_abandoned() + state.ingest.drop_abandoned();
            Counters::add(&self.counters.abandoned, abandoned);
            if let Some(priority) = state.next_priority() {
                if priority == Priority::Ingest
                    && !state.closed
                    && let Some(until) = state.ingest.batch_deadline(limits)
                {
                    self.changed.wait_until(&mut state, until);
                    continue;
                }
                state.searches_in_a_row = match priority {
                    Priority::Search => state.searches_in_a_row + 1,
                    Priority::Ingest => 0,
                };
                let batch = state.lane(priority).take_batch(limits)?;
                // The notification that woke this replica may cover a second batch.
                if state.next_priority().is_some() {
                    self.changed.notify_one();
                }
                return Some((priority, batch));
            }
            if state.closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    /// The waiting searches as one batch. A batch of ingest runs it at its yield points.
    pub fn searches(&self, limits: &Limits) -> Option<Batch> {
        let mut state = self.state.lock();
        let abandoned = state.search.drop_abandoned();
        Counters::add(&self.counters.abandoned, abandoned);
        state.search.take_batch(limits)
    }

    /// Rejects further inputs. Waiting inputs are still answered.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.search_permits.close();
        self.ingest_permits.close();
        self.changed.notify_all();
    }

    /// The numbers of waiting inputs of searches and of ingest.
    pub fn waiting(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.search.len(), state.ingest.len())
    }
}

impl State {
    fn lane(&mut self, priority: Priority) -> &mut Lane {
        match priority {
            Priority::Search => &mut self.search,
            Priority::Ingest => &mut self.ingest,
        }
    }

    fn next_priority(&self) -> Option<Priority> {
        match (self.search.len(), self.ingest.len()) {
            (0, 0) => None,
            (0, _) => Some(Priority::Ingest),
            (_, 0) => Some(Priority::Search),
            _ if self.searches_in_a_row >= SEARCHES_IN_A_ROW => Some(Priority::Ingest),
            _ => Some(Priority::Search),
        }
    }
}

impl Lane {
    fn len(&self) -> usize {
        self.texts.len() + self.images.len()
    }

    /// Drops inputs whose client has disconnected. Returns their number.
    fn drop_abandoned(&mut self) -> usize {
        let before = self.len();
        self.texts.retain(|(_, entry)| !entry.reply.is_closed());
        self.images.retain(|(_, entry)| !entry.reply.is_closed());
        before - self.len()
    }

    /// Whether the oldest input is an image.
    fn images_first(&self) -> bool {
        match (self.texts.front(), self.images.front()) {
            (Some((text, _)), Some((image, _))) => image < text,
            (None, image) => image.is_some(),
            (Some(_), None) => false,
        }
    }

    /// The time at which the next batch has to start even if it is partial; `None` if it has to
    /// start now.
    fn batch_deadline(&self, limits: &Limits) -> Option<Instant> {
        let (oldest, full) = if self.images_first() {
            (self.images.front()?.0, self.images.len() >= limits.images)
        } else {
            (self.texts.front()?.0, self.texts.len() >= limits.texts)
        };
        let until = oldest + limits.delay;
        (!full && until > Instant::now()).then_some(until)
    }

    fn take_batch(&mut self, limits: &Limits) -> Option<Batch> {
        fn front<T>(line: &mut VecDeque<(Instant, T)>, limit: usize) -> Vec<T> {
            let count = line.len().min(limit.max(1));
            line.drain(..count).map(|(_, entry)| entry).collect()
        }
        if self.len() == 0 {
            None
        } else if self.images_first() {
            Some(Batch::Images(front(&mut self.images, limits.images)))
        } else {
            Some(Batch::Texts(front(&mut self.texts, limits.texts)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answer = oneshot::Receiver<Result<Embedded, EmbedError>>;

    const LIMITS: Limits = Limits {
        texts: 2,
        images: 2,
        delay: Duration::ZERO,
    };

    fn queue(capacity: usize) -> Queue {
        Queue::new(capacity, Arc::default())
    }

    async fn push_text(queue: &Queue, priority: Priority, id: u32) -> Answer {
        let (reply, answer) = oneshot::channel();
        let permit = queue.permit(priority).await.unwrap();
        let input = TextTokens {
            ids: vec![id],
            second_ids: Vec::new(),
            truncated: false,
        };
        queue
            .push(
                priority,
                Entry {
                    input,
                    reply,
                    _permit: permit,
                },
            )
            .unwrap();
        answer
    }

    fn ids(batch: Option<(Priority, Batch)>) -> Vec<u32> {
        match batch {
            Some((_, Batch::Texts(entries))) => {
                entries.iter().map(|entry| entry.input.ids[0]).collect()
            }
            _ => panic!("a batch of texts was expected"),
        }
    }

    #[tokio::test]
    async fn searches_precede_ingest_and_batches_are_bounded() {
        let queue = queue(8);
        let mut answers = Vec::new();
        for id in 0..3 {
            answers.push(push_text(&queue, Priority::Ingest, id).await);
        }
        answers.push(push_text(&queue, Priority::Search, 9).await);
        assert_eq!(queue.waiting(), (1, 3));
        assert_eq!(ids(queue.next(&LIMITS)), [9]);
        assert_eq!(ids(queue.next(&LIMITS)), [0, 1]);
        assert_eq!(ids(queue.next(&LIMITS)), [2]);
    }

    #[tokio::test]
    async fn only_searches_run_at_a_yield_point() {
        let queue = queue(8);
        let _ingest = push_text(&queue, Priority::Ingest, 0).await;
        assert!(queue.searches(&LIMITS).is_none());
        let _search = push_text(&queue, Priority::Search, 1).await;
        let batch = queue.searches(&LIMITS).unwrap();
        assert_eq!(ids(Some((Priority::Search, batch))), [1]);
        assert_eq!(queue.waiting(), (0, 1));
    }

    #[tokio::test]
    async fn abandoned_inputs_are_not_computed() {
        let queue = queue(8);
        drop(push_text(&queue, Priority::Ingest, 0).await);
        let wanted = push_text(&queue, Priority::Ingest, 1).await;
        assert_eq!(ids(queue.next(&LIMITS)), [1]);
        assert_eq!(queue.counters.snapshot().abandoned, 1);
        drop(wanted);
    }

    #[tokio::test]
    async fn ingest_is_not_starved() {
        let queue = queue(64);
        let mut answers = vec![push_text(&queue, Priority::Ingest, 1000).await];
        for id in 0..40 {
            answers.push(push_text(&queue, Priority::Search, id).await);
        }
        let batch = (0..).find(|_| ids(queue.next(&LIMITS))[0] == 1000);
        assert_eq!(batch, Some(SEARCHES_IN_A_ROW));
    }

    #[tokio::test]
    async fn senders_wait_for_a_permit() {
        let queue = queue(1);
        let first = push_text(&queue, Priority::Ingest, 0).await;
        let soon = Duration::from_millis(20);
        let second = tokio::time::timeout(soon, queue.permit(Priority::Ingest)).await;
        assert!(second.is_err(), "the queue is full");
        assert!(
            queue.permit(Priority::Search).await.is_ok(),
            "searches have separate permits"
        );
        queue.next(&LIMITS);
        assert!(queue.permit(Priority::Ingest).await.is_ok());
        drop(first);
    }

    #[tokio::test]
    async fn only_ingest_waits_for_a_full_batch() {
        let patient = Limits {
            delay: Duration::from_millis(60),
            ..LIMITS
        };
        let queue = queue(8);
        let _search = push_text(&queue, Priority::Search, 0).await;
        let begun = Instant::now();
        assert_eq!(ids(queue.next(&patient)), [0]);
        assert!(begun.elapsed() < patient.delay / 2);

        let _ingest = push_text(&queue, Priority::Ingest, 1).await;
        let begun = Instant::now();
        assert_eq!(ids(queue.next(&patient)), [1]);
        assert!(begun.elapsed() >= patient.delay / 2);
    }

    #[tokio::test]
    async fn a_closed_queue_answers_waiting_inputs() {
        let queue = queue(8);
        let _answer = push_text(&queue, Priority::Ingest, 7).await;
        queue.close();
        assert!(matches!(
            queue.permit(Priority::Search).await,
            Err(EmbedError::Stopped)
        ));
        assert_eq!(ids(queue.next(&LIMITS)), [7]);
        assert!(queue.next(&LIMITS).is_none());
    }
}
