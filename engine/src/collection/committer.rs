//! Commits a collection's writes in groups: image files and one sled batch, flushed; then FAISS;
//! then a tantivy commit; then every writer in the group is answered. The pool's threads run it, one
//! at a time for each collection.
//!
//! The writes that are queued when a thread becomes free form the next group, so a single write
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

use crate::collection::closed::CloseReason;
use crate::collection::damage::DamageReport;
use crate::collection::field_limit::FieldLimit;
use crate::collection::lazy_index::LazyIndex;
use crate::collection::open_indexes::{IndexOwner, OpenIndexes};
use crate::collection::pool::{Job, Length, Queue};
use crate::collection::readiness::Readiness;
use crate::collection::rows;
use crate::collection::shared::Shared;
use crate::error::EngineError;

/// Panics after which a closing committer abandons its queue: the remaining writers get
/// [`EngineError::Interrupted`].
const MOST_PANICS: usize = 100;

/// A submitted write, which resolves once it is durable and searchable.
pub struct Ticket(oneshot::Receiver<Result<Outcome, EngineError>>);

impl Ticket {
    /// Waits until the write is durable and searchable, and returns its outcome.
    ///
    /// # Errors
    /// The write was refused, its group failed, or the committer panicked
    /// ([`EngineError::Interrupted`]).
    pub async fn wait(self) -> Result<Outcome, EngineError> {
        self.0.await.unwrap_or(Err(EngineError::Interrupted))
    }
}

struct QueuedWrite {
    write: Write,
    bytes: usize,
    reply: oneshot::Sender<Result<Outcome, EngineError>>,
}

enum Work {
    Write(Box<QueuedWrite>),
    /// Runs between two groups, when documents and indexes agree.
    Between(Between),
}

type Between = Box<dyn FnOnce(Result<&CollectionIndex, EngineError>) + Send>;

/// A collection's queue of writes; closing it finishes the accepted ones.
pub(crate) struct Committer {
    name: CollectionName,
    sender: Mutex<Result<mpsc::Sender<Work>, CloseReason>>,
    /// Locked by the thread that commits.
    turn: Mutex<CommitState>,
    /// Whether it waits for a thread or is running on one.
    queued: AtomicBool,
    /// Whether the indexes have to be reconciled with the documents before the next write.
    reconcile: AtomicBool,
    pool: Arc<Queue>,
    index: Arc<LazyIndex>,
    readiness: Arc<Readiness>,
    open_indexes: Arc<OpenIndexes>,
}

struct CommitState {
    receiver: mpsc::Receiver<Work>,
    /// Work that followed a group in the queue and is not a write; it may take long.
    next: Option<Between>,
    commit: GroupCommit,
    /// Whether the last turn ended with a panic.
    panicked: bool,
}

impl Committer {
    pub(crate) fn new(commit: GroupCommit) -> Arc<Self> {
        let shared = &commit.shared;
        // Twice a group, so that the next one can queue while one is being committed.
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
            turn: Mutex::new(CommitState {
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
        self.send(Work::Write(Box::new(QueuedWrite {
            write,
            bytes,
            reply,
        })))
        .await?;
        Ok(Ticket(receiver))
    }

    /// Runs `work` between two groups: it sees every acknowledged write, and no write is in progress.
    pub(crate) async fn between_groups<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&CollectionIndex) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let (reply, done) = oneshot::channel();
        self.send(Work::Between(Box::new(move |index| {
            // The receiver is gone if the client disconnected.
            let _ = reply.send(index.map(work));
        })))
        .await?;
        done.await.map_err(|_| EngineError::Interrupted)?
    }

    /// Schedules a reconciliation of the indexes with the documents. It runs on the committing thread,
    /// because any other could not distinguish a write in progress from a surplus row.
    pub(crate) fn reconcile(self: &Arc<Self>) {
        self.reconcile.store(true, Ordering::Release);
        self.wait_for_thread();
    }

    async fn send(self: &Arc<Self>, work: Work) -> Result<(), EngineError> {
        let sender = self.sender.lock().clone();
        let sender = sender.map_err(|reason| reason.error(&self.name))?;
        if sender.send(work).await.is_err() {
            let reason = self.sender.lock().as_ref().err().copied();
            return Err(reason.unwrap_or(CloseReason::Stopping).error(&self.name));
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

    /// How long the next job may take in the present state.
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

    /// Opens the index if it is not open; documents that it lacks are added in the background. Blocks.
    /// The committing thread must not call it.
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

    /// Accepts no more writes and finishes the accepted ones, on this thread. Blocks.
    pub(crate) fn close(self: &Arc<Self>, reason: CloseReason) {
        *self.sender.lock() = Err(reason);
        let mut turn = self.turn.lock();
        turn.receiver.close();
        for _ in 0..MOST_PANICS {
            let rest = catch_unwind(AssertUnwindSafe(|| turn.finish(self)));
            match rest {
                Ok(()) => break,
                Err(_) => turn.record_panic(self),
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
        let is_idle = turn.is_idle() && !self.reconcile.load(Ordering::Acquire);
        if is_idle
            && self
                .index
                .close_if_unused(|| self.open_indexes.remove(self))
        {
            turn.commit.fields = None;
        }
    }

    fn claim_verification(&self, index: &CollectionIndex) -> bool {
        self.index.claim_verification(index)
    }

    fn begin_reconcile(self: Arc<Self>) {
        self.readiness.begin();
        self.reconcile();
    }
}

impl Job for Committer {
    fn run(self: Arc<Self>, length: Length) {
        let mut turn = self.turn.lock();
        match catch_unwind(AssertUnwindSafe(|| turn.run_next(&self, length))) {
            Ok(()) => turn.panicked = false,
            Err(_) => turn.record_panic(&self),
        }
        // Before the queue is checked: a write that arrives later sees this and queues the job itself.
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

impl CommitState {
    fn is_idle(&self) -> bool {
        self.next.is_none() && self.receiver.is_empty()
    }

    /// Runs one pending piece of work; only a short one if `length` is `Short`.
    fn run_next(&mut self, committer: &Arc<Committer>, length: Length) {
        if length == Length::Short && committer.length() == Length::Long {
            return;
        }
        if committer.reconcile.swap(false, Ordering::AcqRel) {
            // A failure is logged there, and searches then fail with `IndexUnavailable`.
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
            self.run_between(committer);
        }
    }

    /// Runs all remaining work, after the receiver was closed.
    fn finish(&mut self, committer: &Arc<Committer>) {
        loop {
            self.run_between(committer);
            match self.receiver.blocking_recv() {
                Some(Work::Write(first)) => self.commit_group(committer, *first),
                Some(Work::Between(work)) => self.next = Some(work),
                None => return,
            }
        }
    }

    fn run_between(&mut self, committer: &Arc<Committer>) {
        let Some(work) = self.next.take() else {
            return;
        };
        match self.commit.open_index(committer) {
            Ok(index) => work(Ok(&index)),
            Err(error) => work(Err(error)),
        }
    }

    fn commit_group(&mut self, committer: &Arc<Committer>, first: QueuedWrite) {
        let (group, after) = self.commit.gather(first, &mut self.receiver);
        self.next = after;
        let started = Instant::now();
        let documents = group.len();
        let _span = tracing::info_span!("commit", documents).entered();
        self.commit.commit(committer, group);
        let statistics = &self.commit.shared.statistics;
        statistics.group_committed(documents, started.elapsed());
    }

    /// Logs a panic and schedules a reconciliation, which runs before the next write.
    fn record_panic(&mut self, committer: &Arc<Committer>) {
        tracing::error!(
            collection = %committer.name,
            "a commit panicked; acknowledged writes are safe, and the search index is reconciled with the documents"
        );
        self.commit.fields = None;
        committer.readiness.finish(Err(EngineError::Interrupted));
        // Only once: after a second panic it waits for the next write.
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

/// The state that a group commit works on.
pub(crate) struct GroupCommit {
    pub(crate) store: CollectionStore,
    pub(crate) index: Arc<LazyIndex>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) shared: Arc<Shared>,
    /// Counted before the first write, and again after a group that failed.
    pub(crate) fields: Option<FieldLimit>,
}

/// How often an index is rebuilt whose files disappear during the rebuild.
const TRIES: usize = 3;
/// The wait before each further try.
const RETRY_DELAY: Duration = Duration::from_millis(200);

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

    /// The group that begins with `first`, and the work that ended it, if that was not a write.
    fn gather(
        &self,
        first: QueuedWrite,
        queue: &mut mpsc::Receiver<Work>,
    ) -> (Vec<QueuedWrite>, Option<Between>) {
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

    fn commit(&mut self, committer: &Arc<Committer>, group: Vec<QueuedWrite>) {
        let (writes, replies): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|entry| (entry.write, entry.reply))
            .unzip();
        match self.make_durable_and_searchable(committer, writes) {
            Ok(outcomes) => {
                for (reply, outcome) in replies.into_iter().zip(outcomes) {
                    // The client may have disconnected; its write is committed nevertheless.
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

    /// Commits `writes` and returns the outcome of each, or the error that failed the group.
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
        let mut was_asked = false;
        let mut guard = |before: Option<&_>, after: Option<&_>| {
            was_asked = true;
            fields.allows(before, after)
        };
        let committed = self.store.commit_guarded(writes, &mut guard);
        let refused = fields.take_refused();
        if committed.is_ok() || !was_asked {
            self.fields = Some(fields);
        }
        let committed = committed?;
        let (removed, added) = changed_keys(&committed.outcomes);
        // A group that failed may turn out to be durable after storage was reopened.
        let applied = if committed.sequence > index.sequence() + 1 {
            self.reconcile(committer).map(drop)
        } else {
            self.apply(&index, &removed, &added, committed.sequence)
        };
        drop(index);
        if let Err(error) = applied {
            tracing::error!(%error, "a write to the search index failed; rebuilding it from the stored documents");
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

    /// Reconciles the indexes with the documents, using stored vectors.
    fn reconcile(
        &mut self,
        committer: &Arc<Committer>,
    ) -> Result<Arc<CollectionIndex>, EngineError> {
        // Another index may be open afterwards.
        self.fields = None;
        self.readiness.begin();
        let error = match self.bring_up_to_date(committer) {
            Ok(index) => {
                self.readiness.finish(Ok(()));
                return Ok(index);
            }
            Err(error) => error,
        };
        tracing::error!(%error, "could not rebuild the search index");
        if let Some(reason) = error.damage() {
            // There is no receiver during startup, which checks for corruption itself, or shutdown.
            let _ = self.shared.damage.send(DamageReport {
                number: self.store.number(),
                reason,
            });
        }
        self.readiness.finish(Err(error));
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
                    "files of the search index are missing; rebuilding it from the documents"
                );
                drop(index);
                index = self.index.reopen()?;
            }
            match rows::reconcile(&self.store, &index, &self.readiness) {
                Ok(()) => return Ok(index),
                // Whatever deletes the files may still be deleting.
                Err(_) if tries > 1 && index.is_lost() => {
                    tries -= 1;
                    std::thread::sleep(RETRY_DELAY);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The index rows to remove and the documents to add. A group may write one id several times: only
/// the last version of each is added.
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
    let removed_keys: HashSet<DocumentKey> = removed.iter().copied().collect();
    added.retain(|key| !removed_keys.contains(key));
    (removed.into_iter().map(rows::row_id).collect(), added)
}

#[cfg(test)]
mod tests;
