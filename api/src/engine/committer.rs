//! One thread a collection turns writes into groups and makes them durable and
//! searchable: image files and one sled batch, flushed; then FAISS; then a
//! tantivy commit; then everybody in the group is answered.
//!
//! Whatever waits when the thread is free forms the next group, so a lone write
//! pays for one flush and a thousand concurrent writes share one.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use clipdb_index::{CollectionIndex, OwnedRow, RowId};
use clipdb_storage::{CollectionName, CollectionStore, DocumentKey, Outcome, Part, Write};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::field_limit::FieldLimit;
use super::readiness::Readiness;
use super::rows;
use super::settings::EngineSettings;
use super::statistics::Statistics;
use crate::error::ApiError;

/// A write on its way; resolves once it is durable and searchable.
pub struct Ticket(oneshot::Receiver<Result<Outcome, ApiError>>);

impl Ticket {
    pub async fn wait(self) -> Result<Outcome, ApiError> {
        self.0.await.unwrap_or(Err(ApiError::Interrupted))
    }
}

struct Entry {
    write: Write,
    bytes: usize,
    reply: oneshot::Sender<Result<Outcome, ApiError>>,
}

enum Work {
    Write(Box<Entry>),
    /// Done between two groups, when documents and indexes agree.
    Between(Box<dyn FnOnce() + Send>),
    /// Bring the indexes to agree with the documents.
    Reconcile,
}

/// Why a committer takes no more writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    Stopping,
    Dropped,
    /// A restore took its collection's place.
    Replaced,
}

/// The handle to the thread; closing it finishes what was accepted.
pub(super) struct Committer {
    name: CollectionName,
    sender: Mutex<Result<mpsc::Sender<Work>, Closed>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Committer {
    pub(super) fn start(work: GroupCommit) -> std::io::Result<Self> {
        // Twice a group: the next one gathers while one is being committed.
        let (sender, receiver) = mpsc::channel(2 * work.settings.group_documents);
        let name = work.store.definition().name.clone();
        let thread = std::thread::Builder::new()
            .name(format!("commit-{name}"))
            .spawn(move || work.run(receiver))?;
        Ok(Self {
            name,
            sender: Mutex::new(Ok(sender)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Queues `write` behind those submitted before it. Waits while the queue is full.
    pub(super) async fn submit(&self, write: Write) -> Result<Ticket, ApiError> {
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

    /// Does `work` on the committer's thread between two groups: what it sees holds every
    /// write that was answered, and no write is half-way.
    pub(super) async fn between_groups<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let (reply, done) = oneshot::channel();
        self.send(Work::Between(Box::new(move || {
            // Nobody waits any more where the client has gone.
            let _ = reply.send(work());
        })))
        .await?;
        done.await.map_err(|_| ApiError::Interrupted)
    }

    /// Has the indexes brought to agree with the documents: another thread could not tell a
    /// write on its way from a row too many. Blocks while the queue is full.
    pub(super) fn reconcile(&self) {
        let sender = self.sender.lock().clone();
        if let Ok(sender) = sender {
            // Without the thread the next start reconciles.
            let _ = sender.blocking_send(Work::Reconcile);
        }
    }

    async fn send(&self, work: Work) -> Result<(), ApiError> {
        let sender = self.sender.lock().clone();
        match sender {
            Ok(sender) => sender.send(work).await.map_err(|_| ApiError::Stopping),
            Err(Closed::Stopping) => Err(ApiError::Stopping),
            Err(Closed::Dropped) => Err(ApiError::CollectionNotFound(self.name.clone())),
            Err(Closed::Replaced) => Err(ApiError::CollectionReplaced(self.name.clone())),
        }
    }

    /// Takes no more writes, finishes those accepted and joins the thread. Blocks.
    pub(super) fn close(&self, why: Closed) {
        *self.sender.lock() = Err(why);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("a committer thread panicked; what it had acknowledged is safe");
        }
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
        Write::Revise(revision) => {
            let image = match &revision.image {
                Part::Replace((image, _)) => image.bytes.len(),
                Part::Keep | Part::Remove => 0,
            };
            let text = match &revision.text {
                Part::Replace(text) => {
                    let vectors = text.vectors.iter().map(|v| size_of_val(&v[..]));
                    text.text.len() + vectors.sum::<usize>()
                }
                Part::Keep | Part::Remove => 0,
            };
            image + text
        }
        Write::Merge { .. } | Write::Delete(_) | Write::DeleteVersion { .. } => 0,
    }
}

/// What the thread owns.
pub(super) struct GroupCommit {
    pub(super) store: CollectionStore,
    pub(super) index: Arc<CollectionIndex>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) settings: EngineSettings,
    pub(super) statistics: Arc<Statistics>,
    /// Counted when the first write comes, and anew after a group that failed half-way.
    pub(super) fields: Option<FieldLimit>,
}

impl GroupCommit {
    fn run(mut self, mut queue: mpsc::Receiver<Work>) {
        let mut next = None;
        while let Some(work) = next.take().or_else(|| queue.blocking_recv()) {
            let group = match work {
                Work::Between(work) => {
                    work();
                    continue;
                }
                Work::Reconcile => {
                    // Logged where it fails; searches then say that there is no index.
                    let _ = self.reconcile();
                    continue;
                }
                Work::Write(first) => {
                    let (group, after) = self.gather(*first, &mut queue);
                    next = after;
                    group
                }
            };
            let started = Instant::now();
            let documents = group.len();
            let _span = tracing::info_span!("commit", documents).entered();
            self.commit(group);
            self.statistics
                .group_committed(documents, started.elapsed());
        }
    }

    /// The group that begins with `first`, and what came behind it that is no write.
    fn gather(&self, first: Entry, queue: &mut mpsc::Receiver<Work>) -> (Vec<Entry>, Option<Work>) {
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while group.len() < self.settings.group_documents && bytes < self.settings.group_bytes {
            match queue.try_recv() {
                Ok(Work::Write(entry)) => {
                    bytes += entry.bytes;
                    group.push(*entry);
                }
                Ok(other) => return (group, Some(other)),
                Err(_) => break,
            }
        }
        (group, None)
    }

    fn commit(&mut self, group: Vec<Entry>) {
        let (writes, replies): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|entry| (entry.write, entry.reply))
            .unzip();
        match self.make_durable_and_searchable(writes) {
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
                    let _ = reply.send(Err(ApiError::Group(Arc::clone(&shared))));
                }
            }
        }
    }

    /// What each write came to, or why the group failed.
    fn make_durable_and_searchable(
        &mut self,
        writes: Vec<Write>,
    ) -> Result<Vec<Result<Outcome, ApiError>>, ApiError> {
        let mut fields = match self.fields.take() {
            Some(fields) => fields,
            None => {
                if !self.readiness.is_searchable() {
                    self.reconcile()?;
                }
                FieldLimit::of(&self.index, self.settings.max_fields)?
            }
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
        let applied = if self.readiness.is_searchable() {
            self.apply(&removed, &added, committed.sequence)
        } else {
            self.reconcile()
        };
        if let Err(error) = applied {
            tracing::error!(%error, "the search index took no write: rebuilding it from the stored documents");
            self.reconcile()?;
        }
        let mut refused = refused.into_iter();
        Ok(committed
            .outcomes
            .into_iter()
            .map(|outcome| match outcome {
                Outcome::Refused => Err(refused
                    .next()
                    .map_or(ApiError::Interrupted, ApiError::TooManyFields)),
                outcome => Ok(outcome),
            })
            .collect())
    }

    fn apply(
        &self,
        removed: &[RowId],
        added: &[DocumentKey],
        sequence: u64,
    ) -> Result<(), ApiError> {
        let rows = added
            .iter()
            .map(|key| rows::read(&self.store, *key))
            .collect::<Result<Vec<_>, _>>()?;
        let borrowed: Vec<_> = rows.iter().map(OwnedRow::as_row).collect();
        Ok(self.index.apply(removed, &borrowed, sequence)?)
    }

    fn reconcile(&self) -> Result<(), ApiError> {
        self.readiness.begin();
        let outcome = rows::reconcile(&self.store, &self.index, &self.readiness);
        let done = outcome.is_ok();
        if let Err(error) = &outcome {
            tracing::error!(%error, "the search index could not be rebuilt");
        }
        self.readiness.ended(outcome);
        if done {
            return Ok(());
        }
        Err(ApiError::IndexUnavailable(
            self.store.definition().name.clone(),
        ))
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
