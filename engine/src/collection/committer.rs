//! A collection's writes, in groups that are made durable and searchable: image files and one
//! sled batch, flushed; then FAISS; then a tantivy commit; then everybody in the group is
//! answered. The threads are the pool's, one at a time for a collection.
//!
//! Whatever waits when a thread is free forms the next group, so a lone write
//! pays for one flush and a thousand concurrent writes share one.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clipdb_index::{CollectionIndex, OwnedRow, RowId};
use clipdb_storage::{CollectionName, CollectionStore, DocumentKey, FieldUpdate, Outcome, Write};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::collection::closed::Closed;
use crate::collection::damage::DamageReport;
use crate::collection::field_limit::FieldLimit;
use crate::collection::lazy_index::LazyIndex;
use crate::collection::open_indexes::{IndexOwner, OpenIndexes};
use crate::collection::pool::{Job, Length, Queue};
use crate::collection::readiness::Readiness;
use crate::collection::rows;
use crate::collection::shared::Shared;
use crate::error::EngineError;

/// Panics after which a closing committer leaves the rest of its queue: their writers are answered
/// that they were interrupted.
const MOST_PANICS: usize = 100;

/// A write on its way; resolves once it is durable and searchable.
pub struct Ticket(oneshot::Receiver<Result<Outcome, EngineError>>);

impl Ticket {
    pub async fn wait(self) -> Result<Outcome, EngineError> {
        self.0.await.unwrap_or(Err(EngineError::Interrupted))
    }
}

struct Entry {
    write: Write,
    bytes: usize,
    reply: oneshot::Sender<Result<Outcome, EngineError>>,
}

enum Work {
    Write(Box<Entry>),
    /// Done between two groups, when documents and indexes agree.
    Between(Between),
}

type Between = Box<dyn FnOnce(Result<&CollectionIndex, EngineError>) + Send>;

/// A collection's queue of writes; closing it finishes what was accepted.
pub(crate) struct Committer {
    name: CollectionName,
    sender: Mutex<Result<mpsc::Sender<Work>, Closed>>,
    /// Held by the thread that commits.
    turn: Mutex<Turn>,
    /// Whether it waits for a thread or has one.
    queued: AtomicBool,
    /// Whether the indexes have to be brought to agree with the documents, before any write.
    reconcile: AtomicBool,
    pool: Arc<Queue>,
    index: Arc<LazyIndex>,
    readiness: Arc<Readiness>,
    open_indexes: Arc<OpenIndexes>,
}

struct Turn {
    receiver: mpsc::Receiver<Work>,
    /// What came behind a group and is no write: it may take long.
    next: Option<Between>,
    commit: GroupCommit,
    /// Whether the last turn ended with a panic.
    panicked: bool,
}

impl Committer {
    pub(crate) fn new(commit: GroupCommit) -> Arc<Self> {
        let shared = &commit.shared;
        // Twice a group: the next one gathers while one is being committed.
        let (sender, receiver) = mpsc::channel(2 * shared.settings.group_documents);
        Arc::new(Self {
            name: commit.store.definition().name.clone(),
            sender: Mutex::new(Ok(sender)),
            queued: AtomicBool::new(false),
            reconcile: AtomicBool::new(false),
            pool: Arc::clone(&shared.pool),
            index: Arc::clone(&commit.index),
            readiness: Arc::clone(&commit.readiness),
            open_indexes: Arc::clone(&shared.open_indexes),
            turn: Mutex::new(Turn {
                receiver,
                next: None,
                commit,
                panicked: false,
            }),
        })
    }

    /// Queues `write` behind those submitted before it. Waits while the queue is full.
    pub(crate) async fn submit(self: &Arc<Self>, write: Write) -> Result<Ticket, EngineError> {
        let (reply, receiver) = oneshot::channel();
        let bytes = size_of_write(&write);
        self.send(Work::Write(Box::new(Entry {
            write,
            bytes,
            reply,
        })))
        .await?;
        Ok(Ticket(receiver))
    }

    /// Does `work` between two groups: what it sees holds every write that was answered, and no
    /// write is half-way.
    pub(crate) async fn between_groups<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&CollectionIndex) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let (reply, done) = oneshot::channel();
        self.send(Work::Between(Box::new(move |index| {
            // Nobody waits any more where the client has gone.
            let _ = reply.send(index.map(work));
        })))
        .await?;
        done.await.map_err(|_| EngineError::Interrupted)?
    }

    /// Has the indexes brought to agree with the documents: another thread could not tell a
    /// write on its way from a row too many.
    pub(crate) fn reconcile(self: &Arc<Self>) {
        self.reconcile.store(true, Ordering::Release);
        self.wait_for_thread();
    }

    async fn send(self: &Arc<Self>, work: Work) -> Result<(), EngineError> {
        let sender = self.sender.lock().clone();
        let sender = sender.map_err(|why| why.error(&self.name))?;
        if sender.send(work).await.is_err() {
            let why = self.sender.lock().as_ref().err().copied();
            return Err(why.unwrap_or(Closed::Stopping).error(&self.name));
        }
        self.wait_for_thread();
        Ok(())
    }

    fn wait_for_thread(self: &Arc<Self>) {
        self.wait_for_thread_of(self.length());
    }

    fn wait_for_thread_of(self: &Arc<Self>, length: Length) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            let job: Arc<dyn Job> = Arc::<Self>::clone(self);
            self.pool.push(job, length);
        }
    }

    /// How long a write may take now.
    fn length(&self) -> Length {
        let is_short = self.index.is_open()
            && self.readiness.is_searchable()
            && !self.reconcile.load(Ordering::Acquire);
        if is_short {
            Length::Short
        } else {
            Length::Long
        }
    }

    /// The index, opened where it is not; what it lacks is brought in the background. Blocks; not
    /// for the thread that commits.
    pub(crate) fn open_index(self: &Arc<Self>) -> Result<Arc<CollectionIndex>, EngineError> {
        self.index.touch(self.open_indexes.now());
        let opened = self.index.open()?;
        if opened.is_new {
            let owner: Arc<dyn IndexOwner> = Arc::<Self>::clone(self);
            self.open_indexes.add(&owner, &opened.index);
            if !self.readiness.is_searchable() {
                self.reconcile();
            }
        }
        Ok(opened.index)
    }

    /// Takes no more writes and finishes those accepted, on this thread. Blocks.
    pub(crate) fn close(self: &Arc<Self>, why: Closed) {
        *self.sender.lock() = Err(why);
        let mut turn = self.turn.lock();
        turn.receiver.close();
        for _ in 0..MOST_PANICS {
            let rest = catch_unwind(AssertUnwindSafe(|| turn.finish(self)));
            match rest {
                Ok(()) => break,
                Err(_) => turn.note_panic(self),
            }
        }
        self.open_indexes.remove(&**self);
    }
}

impl IndexOwner for Committer {
    fn name(&self) -> &CollectionName {
        &self.name
    }

    fn used(&self) -> u64 {
        self.index.used()
    }

    fn close_index_if_unused(&self) {
        let Some(mut turn) = self.turn.try_lock() else {
            return;
        };
        let idle = turn.is_idle() && !self.reconcile.load(Ordering::Acquire);
        if idle
            && self
                .index
                .close_if_unused(|| self.open_indexes.remove(self))
        {
            turn.commit.fields = None;
        }
    }

    fn take_unverified(&self, index: &CollectionIndex) -> bool {
        self.index.take_unverified(index)
    }

    fn begin_reconcile(self: Arc<Self>) {
        self.readiness.begin();
        self.reconcile();
    }
}

impl Job for Committer {
    fn run(self: Arc<Self>, length: Length) {
        let mut turn = self.turn.lock();
        match catch_unwind(AssertUnwindSafe(|| turn.take(&self, length))) {
            Ok(()) => turn.panicked = false,
            Err(_) => turn.note_panic(&self),
        }
        // Before it looks: a write that came since then sees this and waits for a thread itself.
        self.queued.swap(false, Ordering::AcqRel);
        if turn.next.is_some() {
            self.wait_for_thread_of(Length::Long);
        } else if !turn.is_idle() || self.reconcile.load(Ordering::Acquire) {
            self.wait_for_thread();
        }
        drop(turn);
        self.open_indexes.trim();
    }
}

impl Turn {
    fn is_idle(&self) -> bool {
        self.next.is_none() && self.receiver.is_empty()
    }

    /// Does one thing that is due; only what is short where `length` says so.
    fn take(&mut self, committer: &Arc<Committer>, length: Length) {
        if length == Length::Short && committer.length() == Length::Long {
            return;
        }
        if committer.reconcile.swap(false, Ordering::AcqRel) {
            // Logged where it fails; searches then say that there is no index.
            let _ = self.commit.reconcile(committer);
            return;
        }
        if self.next.is_none() {
            match self.receiver.try_recv() {
                Ok(Work::Write(first)) => return self.commit_group(committer, *first),
                Ok(Work::Between(work)) => self.next = Some(work),
                Err(_) => {}
            }
        }
        if length == Length::Long {
            self.do_between(committer);
        }
    }

    /// Does all that is left, after the receiver was closed.
    fn finish(&mut self, committer: &Arc<Committer>) {
        loop {
            self.do_between(committer);
            match self.receiver.blocking_recv() {
                Some(Work::Write(first)) => self.commit_group(committer, *first),
                Some(Work::Between(work)) => self.next = Some(work),
                None => return,
            }
        }
    }

    fn do_between(&mut self, committer: &Arc<Committer>) {
        let Some(work) = self.next.take() else {
            return;
        };
        match self.commit.open_index(committer) {
            Ok(index) => work(Ok(&index)),
            Err(error) => work(Err(error)),
        }
    }

    fn commit_group(&mut self, committer: &Arc<Committer>, first: Entry) {
        let (group, after) = self.commit.gather(first, &mut self.receiver);
        self.next = after;
        let started = Instant::now();
        let documents = group.len();
        let _span = tracing::info_span!("commit", documents).entered();
        self.commit.commit(committer, group);
        let statistics = &self.commit.shared.statistics;
        statistics.group_committed(documents, started.elapsed());
    }

    /// What the panic left half-way is brought in order before the next write.
    fn note_panic(&mut self, committer: &Arc<Committer>) {
        tracing::error!(
            collection = %committer.name,
            "a commit panicked; what was acknowledged is safe, and the search index is compared with the documents"
        );
        self.commit.fields = None;
        committer.readiness.ended(Err(EngineError::Interrupted));
        // Once: what panics again waits for the next write.
        if !self.panicked {
            committer.reconcile.store(true, Ordering::Release);
        }
        self.panicked = true;
    }
}

fn size_of_write(write: &Write) -> usize {
    match write {
        Write::Put(document) => {
            document.image.as_ref().map_or(0, |image| image.bytes.len())
                + document.text.as_ref().map_or(0, String::len)
                + document
                    .vectors
                    .iter()
                    .map(|(_, v)| size_of_val(&v[..]))
                    .sum::<usize>()
        }
        Write::Patch(revision) => {
            let image = match &revision.image {
                FieldUpdate::Set((image, _)) => image.bytes.len(),
                FieldUpdate::Keep | FieldUpdate::Remove => 0,
            };
            let text = match &revision.text {
                FieldUpdate::Set(text) => {
                    let vectors = text.vectors.iter().map(|v| size_of_val(&v[..]));
                    text.text.len() + vectors.sum::<usize>()
                }
                FieldUpdate::Keep | FieldUpdate::Remove => 0,
            };
            image + text
        }
        Write::Merge { .. } | Write::Delete(_) | Write::DeleteVersion { .. } => 0,
    }
}

/// What a commit needs.
pub(crate) struct GroupCommit {
    pub(crate) store: CollectionStore,
    pub(crate) index: Arc<LazyIndex>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) shared: Arc<Shared>,
    /// Counted when the first write comes, and anew after a group that failed half-way.
    pub(crate) fields: Option<FieldLimit>,
}

/// How often an index is made again whose files vanish meanwhile, and the wait before that.
const TRIES: usize = 3;
const TRY_AGAIN: Duration = Duration::from_millis(200);

impl GroupCommit {
    fn open_index(&self, committer: &Arc<Committer>) -> Result<Arc<CollectionIndex>, EngineError> {
        self.index.touch(committer.open_indexes.now());
        let opened = self.index.open()?;
        if opened.is_new {
            let owner: Arc<dyn IndexOwner> = Arc::<Committer>::clone(committer);
            committer.open_indexes.add(&owner, &opened.index);
        }
        Ok(opened.index)
    }

    /// The group that begins with `first`, and what came behind it that is no write.
    fn gather(
        &self,
        first: Entry,
        queue: &mut mpsc::Receiver<Work>,
    ) -> (Vec<Entry>, Option<Between>) {
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while group.len() < self.shared.settings.group_documents
            && bytes < self.shared.settings.group_bytes
        {
            match queue.try_recv() {
                Ok(Work::Write(entry)) => {
                    bytes += entry.bytes;
                    group.push(*entry);
                }
                Ok(Work::Between(work)) => return (group, Some(work)),
                Err(_) => break,
            }
        }
        (group, None)
    }

    fn commit(&mut self, committer: &Arc<Committer>, group: Vec<Entry>) {
        let (writes, replies): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|entry| (entry.write, entry.reply))
            .unzip();
        match self.make_durable_and_searchable(committer, writes) {
            Ok(outcomes) => {
                for (reply, outcome) in replies.into_iter().zip(outcomes) {
                    // The client may have gone; its write stands all the same.
                    let _ = reply.send(outcome);
                }
            }
            Err(error) => {
                tracing::error!(%error, documents = replies.len(), "a group of writes failed");
                let shared = Arc::new(error);
                for reply in replies {
                    let _ = reply.send(Err(EngineError::Group(Arc::clone(&shared))));
                }
            }
        }
    }

    /// What each write came to, or why the group failed.
    fn make_durable_and_searchable(
        &mut self,
        committer: &Arc<Committer>,
        writes: Vec<Write>,
    ) -> Result<Vec<Result<Outcome, EngineError>>, EngineError> {
        let mut index = self.open_index(committer)?;
        if !self.readiness.is_searchable() {
            index = self.reconcile(committer)?;
        }
        let mut fields = match self.fields.take() {
            Some(fields) => fields,
            None => FieldLimit::of(&index, self.shared.settings.max_fields)?,
        };
        let mut asked = false;
        let mut guard = |before: Option<&_>, after: Option<&_>| {
            asked = true;
            fields.allows(before, after)
        };
        let committed = self.store.commit_guarded(writes, &mut guard);
        let refused = fields.take_refused();
        if committed.is_ok() || !asked {
            self.fields = Some(fields);
        }
        let committed = committed?;
        let (removed, added) = changed_keys(&committed.outcomes);
        // A group that failed may turn out to be durable once storage was opened again.
        let applied = if committed.sequence > index.sequence() + 1 {
            self.reconcile(committer).map(drop)
        } else {
            self.apply(&index, &removed, &added, committed.sequence)
        };
        drop(index);
        if let Err(error) = applied {
            tracing::error!(%error, "the search index took no write: rebuilding it from the stored documents");
            self.reconcile(committer)?;
        }
        let mut refused = refused.into_iter();
        Ok(committed
            .outcomes
            .into_iter()
            .map(|outcome| match outcome {
                Outcome::Refused => Err(refused
                    .next()
                    .map_or(EngineError::Interrupted, EngineError::TooManyFields)),
                outcome => Ok(outcome),
            })
            .collect())
    }

    fn apply(
        &self,
        index: &CollectionIndex,
        removed: &[RowId],
        added: &[DocumentKey],
        sequence: u64,
    ) -> Result<(), EngineError> {
        let rows = added
            .iter()
            .map(|key| rows::read(&self.store, *key))
            .collect::<Result<Vec<_>, _>>()?;
        let borrowed: Vec<_> = rows.iter().map(OwnedRow::as_row).collect();
        Ok(index.apply(removed, &borrowed, sequence)?)
    }

    /// Brings the indexes to agree with the documents; from stored vectors, whatever is missing.
    fn reconcile(
        &mut self,
        committer: &Arc<Committer>,
    ) -> Result<Arc<CollectionIndex>, EngineError> {
        // What is open may be another index afterwards.
        self.fields = None;
        self.readiness.begin();
        let error = match self.bring_up_to_date(committer) {
            Ok(index) => {
                self.readiness.ended(Ok(()));
                return Ok(index);
            }
            Err(error) => error,
        };
        tracing::error!(%error, "the search index could not be rebuilt");
        if let Some(reason) = error.damage() {
            // Nobody listens while the server starts or stops: the start looks itself.
            let _ = self.shared.damage.send(DamageReport {
                number: self.store.number(),
                reason,
            });
        }
        self.readiness.ended(Err(error));
        Err(EngineError::IndexUnavailable(
            self.store.definition().name.clone(),
        ))
    }

    fn bring_up_to_date(
        &self,
        committer: &Arc<Committer>,
    ) -> Result<Arc<CollectionIndex>, EngineError> {
        let mut tries = TRIES;
        loop {
            let mut index = self.open_index(committer)?;
            if index.is_lost() {
                tracing::warn!(
                    collection = %committer.name,
                    "files of the search index are gone: it is made again from the documents"
                );
                drop(index);
                index = self.index.reopen()?;
            }
            match rows::reconcile(&self.store, &index, &self.readiness) {
                Ok(()) => return Ok(index),
                // Whoever removes them may still be at it.
                Err(_) if tries > 1 && index.is_lost() => {
                    tries -= 1;
                    std::thread::sleep(TRY_AGAIN);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The index rows to remove and the documents to add, when a group may write one
/// id several times: only the last version of each is added.
fn changed_keys(outcomes: &[Outcome]) -> (Vec<RowId>, Vec<DocumentKey>) {
    let mut removed = Vec::new();
    let mut added = Vec::new();
    for outcome in outcomes {
        match outcome {
            Outcome::Created { key } => added.push(*key),
            Outcome::Updated { key, replaced } => {
                added.push(*key);
                removed.push(*replaced);
            }
            Outcome::Deleted { key } => removed.push(*key),
            Outcome::NotFound | Outcome::NothingLeft | Outcome::Refused => {}
        }
    }
    let gone: HashSet<DocumentKey> = removed.iter().copied().collect();
    added.retain(|key| !gone.contains(key));
    (removed.into_iter().map(rows::row_id).collect(), added)
}

#[cfg(test)]
mod tests;
