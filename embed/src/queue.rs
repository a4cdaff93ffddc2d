//! What waits for a model's device threads, one a replica.
//!
//! Searches go ahead of ingest; texts and pictures are batched apart. A batch is
//! whatever waits when the device is free, so an idle encoder adds no delay. The
//! number of waiting inputs is bounded by [`Queue::place`], where senders wait;
//! nothing is dropped, except what nobody waits for any more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::image::Pixels;
use crate::statistics::Counters;
use crate::{EmbedError, Embedding, TextTokens};

/// After so many batches of searches in a row, one of ingest has its turn.
const SEARCHES_IN_A_ROW: u32 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Priority {
    /// Somebody is waiting for an answer.
    Search,
    /// Documents on their way into a collection.
    Ingest,
}

/// A place among those that wait, held until the input is answered.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

pub(crate) struct Entry<I> {
    pub input: I,
    pub reply: oneshot::Sender<Result<Embedded, EmbedError>>,
    pub _place: Place,
}

pub(crate) struct Embedded {
    pub embedding: Embedding,
    pub model: Duration,
}

pub(crate) enum Batch {
    Texts(Vec<Entry<TextTokens>>),
    Images(Vec<Entry<Pixels>>),
}

pub(crate) struct Limits {
    pub texts: usize,
    pub images: usize,
    /// How long an ingest batch that is not full waits for more.
    pub delay: Duration,
}

pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    search_places: Arc<Semaphore>,
    ingest_places: Arc<Semaphore>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct State {
    search: Lane,
    ingest: Lane,
    searches_in_a_row: u32,
    closed: bool,
}

#[derive(Default)]
pub(crate) struct Lane {
    texts: VecDeque<(Instant, Entry<TextTokens>)>,
    images: VecDeque<(Instant, Entry<Pixels>)>,
}

/// What [`Queue::push`] takes: each kind of input has a line of its own in a lane.
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
    /// `capacity` inputs of each priority may wait.
    pub fn new(capacity: usize, counters: Arc<Counters>) -> Self {
        let places = || Arc::new(Semaphore::new(capacity.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            search_places: places(),
            ingest_places: places(),
            counters,
        }
    }

    /// Lets so many more inputs of each priority wait.
    pub fn widen(&self, places: usize) {
        self.search_places.add_permits(places);
        self.ingest_places.add_permits(places);
    }

    /// Waits until one more input may wait.
    pub async fn place(&self, priority: Priority) -> Result<Place, EmbedError> {
        let places = match priority {
            Priority::Search => &self.search_places,
            Priority::Ingest => &self.ingest_places,
        };
        match Arc::clone(places).acquire_owned().await {
            Ok(permit) => Ok(Place { _permit: permit }),
            Err(_) => Err(EmbedError::Stopped),
        }
    }

    pub fn push<I: Input>(&self, priority: Priority, entry: Entry<I>) -> Result<(), EmbedError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(EmbedError::Stopped);
        }
        I::line(state.lane(priority)).push_back((Instant::now(), entry));
        self.changed.notify_one();
        Ok(())
    }

    /// The next batch for the device and whose it is; waits for one. `None` when the queue
    /// is closed and empty.
    pub fn next(&self, limits: &Limits) -> Option<(Priority, Batch)> {
        let mut state = self.state.lock();
        loop {
            let abandoned = state.search.drop_abandoned() + state.ingest.drop_abandoned();
            Counters::add(&self.counters.abandoned, abandoned);
            if let Some(priority) = state.turn() {
                if priority == Priority::Ingest
                    && !state.closed
                    && let Some(until) = state.ingest.worth_waiting_until(limits)
                {
                    self.changed.wait_until(&mut state, until);
                    continue;
                }
                state.searches_in_a_row = match priority {
                    Priority::Search => state.searches_in_a_row + 1,
                    Priority::Ingest => 0,
                };
                let batch = state.lane(priority).take(limits)?;
                // What woke this replica may have been meant for two.
                if state.turn().is_some() {
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

    /// The searches that wait now, as one batch, for a pause in a batch of ingest.
    pub fn searches(&self, limits: &Limits) -> Option<Batch> {
        let mut state = self.state.lock();
        let abandoned = state.search.drop_abandoned();
        Counters::add(&self.counters.abandoned, abandoned);
        state.search.take(limits)
    }

    /// Takes no more; what waits is still answered.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.search_places.close();
        self.ingest_places.close();
        self.changed.notify_all();
    }

    /// How many wait for a search and for ingest.
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

    fn turn(&self) -> Option<Priority> {
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

    fn drop_abandoned(&mut self) -> usize {
        let before = self.len();
        self.texts.retain(|(_, entry)| !entry.reply.is_closed());
        self.images.retain(|(_, entry)| !entry.reply.is_closed());
        before - self.len()
    }

    /// Pictures go first when the first of them came before the first text.
    fn images_first(&self) -> bool {
        match (self.texts.front(), self.images.front()) {
            (Some((text, _)), Some((image, _))) => image < text,
            (None, image) => image.is_some(),
            (Some(_), None) => false,
        }
    }

    /// When the batch that is next has to go although it is not full; `None` for now.
    fn worth_waiting_until(&self, limits: &Limits) -> Option<Instant> {
        let (oldest, full) = if self.images_first() {
            (self.images.front()?.0, self.images.len() >= limits.images)
        } else {
            (self.texts.front()?.0, self.texts.len() >= limits.texts)
        };
        let until = oldest + limits.delay;
        (!full && until > Instant::now()).then_some(until)
    }

    fn take(&mut self, limits: &Limits) -> Option<Batch> {
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
        let _place = queue.place(priority).await.unwrap();
        let input = TextTokens {
            ids: vec![id],
            truncated: false,
        };
        queue
            .push(
                priority,
                Entry {
                    input,
                    reply,
                    _place,
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
    async fn searches_go_ahead_and_batches_are_bounded() {
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
    async fn a_pause_takes_searches_alone() {
        let queue = queue(8);
        let _ingest = push_text(&queue, Priority::Ingest, 0).await;
        assert!(queue.searches(&LIMITS).is_none());
        let _search = push_text(&queue, Priority::Search, 1).await;
        let batch = queue.searches(&LIMITS).unwrap();
        assert_eq!(ids(Some((Priority::Search, batch))), [1]);
        assert_eq!(queue.waiting(), (0, 1));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_costs_nothing() {
        let queue = queue(8);
        drop(push_text(&queue, Priority::Ingest, 0).await);
        let kept = push_text(&queue, Priority::Ingest, 1).await;
        assert_eq!(ids(queue.next(&LIMITS)), [1]);
        assert_eq!(queue.counters.snapshot().abandoned, 1);
        drop(kept);
    }

    #[tokio::test]
    async fn ingest_is_not_starved() {
        let queue = queue(64);
        let mut answers = vec![push_text(&queue, Priority::Ingest, 1000).await];
        for id in 0..40 {
            answers.push(push_text(&queue, Priority::Search, id).await);
        }
        let turn = (0..).find(|_| ids(queue.next(&LIMITS))[0] == 1000);
        assert_eq!(turn, Some(SEARCHES_IN_A_ROW));
    }

    #[tokio::test]
    async fn senders_wait_at_the_door() {
        let queue = queue(1);
        let first = push_text(&queue, Priority::Ingest, 0).await;
        let soon = Duration::from_millis(20);
        let second = tokio::time::timeout(soon, queue.place(Priority::Ingest)).await;
        assert!(second.is_err(), "the queue is full");
        assert!(
            queue.place(Priority::Search).await.is_ok(),
            "searches have places of their own"
        );
        queue.next(&LIMITS);
        assert!(queue.place(Priority::Ingest).await.is_ok());
        drop(first);
    }

    #[tokio::test]
    async fn the_delay_gathers_ingest_only() {
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
    async fn a_closed_queue_is_emptied_first() {
        let queue = queue(8);
        let _answer = push_text(&queue, Priority::Ingest, 7).await;
        queue.close();
        assert!(matches!(
            queue.place(Priority::Search).await,
            Err(EmbedError::Stopped)
        ));
        assert_eq!(ids(queue.next(&LIMITS)), [7]);
        assert!(queue.next(&LIMITS).is_none());
    }
}
