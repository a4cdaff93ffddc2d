//! Long-running work, its progress and its outcome. Tasks live in memory, so a restart forgets
//! them; unfinished snapshots and restores leave no data behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use clipdb_storage::{CollectionName, Progress};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;

use crate::error::EngineError;

/// The most tasks that run at once; each has its own thread.
const MOST_RUNNING: usize = 32;
/// The most finished tasks that are remembered.
const MOST_FINISHED: usize = 1_000;
/// The most errors that a task keeps; further failures are only counted.
const MOST_ERRORS: usize = 100;

/// The kind of work that a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Ingests documents.
    Documents,
    /// Takes a snapshot of a collection.
    Snapshot,
    /// Restores a collection from an archive.
    Restore,
}

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// It has not ended.
    Running,
    /// It ended; single documents may have failed.
    Done,
    /// It ended with an error.
    Failed,
    /// It was cancelled before it ended.
    Cancelled,
}

/// One long-running piece of work on a collection.
pub struct Task {
    /// A UUID of version 7, so ids sort by creation time.
    pub id: String,
    /// The kind of work.
    pub kind: TaskKind,
    /// The collection that it works on.
    pub collection: CollectionName,
    /// When it was created, in Unix milliseconds.
    pub created_at: u64,
    done: AtomicU64,
    total: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicBool,
    errors: Mutex<Vec<TaskError>>,
    outcome: Mutex<Option<Outcome>>,
    finished: watch::Sender<bool>,
}

/// An error of a task.
#[derive(Clone)]
pub struct TaskError {
    /// The id of the document that failed; `None` if the document has none or the task itself failed.
    pub id: Option<String>,
    /// The reason.
    pub error: Arc<EngineError>,
}

#[derive(Clone)]
struct Outcome {
    state: TaskState,
    result: Value,
    finished_at: u64,
}

/// A task's state at one moment.
pub struct TaskView {
    /// Whether it runs, and how it ended otherwise.
    pub state: TaskState,
    /// Documents processed until now, failed ones included.
    pub done: u64,
    /// Documents known until now that are to be processed.
    pub total: u64,
    /// Documents that failed.
    pub failed: u64,
    /// The first 100 errors; the error that ended the task comes last.
    pub errors: Vec<TaskError>,
    /// The result as JSON; null unless the task is done.
    pub result: Value,
    /// When it ended, in Unix milliseconds.
    pub finished_at: Option<u64>,
}

#[derive(Default)]
pub(crate) struct Tasks(Mutex<TaskList>);

#[derive(Default)]
struct TaskList {
    tasks: BTreeMap<String, Arc<Task>>,
    threads: Vec<JoinHandle<()>>,
    closed: bool,
}

impl Task {
    /// A copy of its present state.
    pub fn view(&self) -> TaskView {
        let outcome = self.outcome.lock().clone();
        let errors = self.errors.lock().clone();
        TaskView {
            state: outcome
                .as_ref()
                .map_or(TaskState::Running, |outcome| outcome.state),
            done: self.done.load(Ordering::Acquire),
            total: self.total.load(Ordering::Acquire),
            failed: self.failed.load(Ordering::Acquire),
            errors,
            finished_at: outcome.as_ref().map(|outcome| outcome.finished_at),
            result: outcome.map_or(Value::Null, |outcome| outcome.result),
        }
    }

    /// Asks it to stop, which it does at its next document.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
    }

    /// Whether it was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Whether it has not ended.
    pub fn is_running(&self) -> bool {
        self.outcome.lock().is_none()
    }

    /// Adds one document to the total.
    pub fn expect_one(&self) {
        self.expect(1);
    }

    /// Adds `documents` to the total.
    pub fn expect(&self, documents: usize) {
        self.total.fetch_add(documents as u64, Ordering::AcqRel);
    }

    /// Counts one more document as done, and keeps its error if it failed.
    pub fn one_done(&self, id: Option<String>, outcome: Result<(), EngineError>) {
        if let Err(error) = outcome {
            self.failed.fetch_add(1, Ordering::AcqRel);
            self.keep_error(id, error);
        }
        self.done.fetch_add(1, Ordering::AcqRel);
    }

    /// The numbers of stored and of failed documents, as JSON.
    pub(crate) fn counts(&self) -> Value {
        let view = self.view();
        serde_json::json!({ "stored": view.done - view.failed, "failed": view.failed })
    }

    /// Waits for its end and returns its result.
    ///
    /// # Errors
    /// [`EngineError::TaskCancelled`], or the error that ended it.
    pub async fn ended(&self) -> Result<Value, EngineError> {
        let mut finished = self.finished.subscribe();
        // The task owns the sender, so this cannot fail.
        let _ = finished.wait_for(|finished| *finished).await;
        let view = self.view();
        match view.state {
            TaskState::Done => Ok(view.result),
            TaskState::Cancelled => Err(EngineError::TaskCancelled(self.id.clone())),
            TaskState::Failed | TaskState::Running => {
                Err(view.errors.last().map_or(EngineError::Interrupted, |last| {
                    EngineError::Group(last.error.clone())
                }))
            }
        }
    }

    fn keep_error(&self, id: Option<String>, error: EngineError) {
        let mut errors = self.errors.lock();
        if errors.len() < MOST_ERRORS {
            errors.push(TaskError {
                id,
                error: Arc::new(error),
            });
        }
    }

    fn end(&self, result: Result<Value, EngineError>) {
        let (state, result) = match result {
            _ if self.is_cancelled() => (TaskState::Cancelled, Value::Null),
            Ok(result) => (TaskState::Done, result),
            Err(error) => {
                tracing::warn!(task = self.id, kind = ?self.kind, %error, "a task failed");
                // The last error is the one that ended the task.
                self.errors.lock().truncate(MOST_ERRORS - 1);
                self.keep_error(None, error);
                (TaskState::Failed, Value::Null)
            }
        };
        *self.outcome.lock() = Some(Outcome {
            state,
            result,
            finished_at: now(),
        });
        self.finished.send_replace(true);
    }
}

impl Progress for Task {
    fn reached(&self, done: u64, total: u64) -> bool {
        self.done.store(done, Ordering::Release);
        self.total.store(total, Ordering::Release);
        !self.is_cancelled()
    }
}

impl Tasks {
    /// Runs `work` on its own thread.
    pub(crate) fn start(
        &self,
        kind: TaskKind,
        collection: CollectionName,
        work: impl FnOnce(&Task) -> Result<Value, EngineError> + Send + 'static,
    ) -> Result<Arc<Task>, EngineError> {
        let task = Arc::new(Task {
            id: uuid::Uuid::now_v7().to_string(),
            kind,
            collection,
            created_at: now(),
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            errors: Mutex::default(),
            outcome: Mutex::default(),
            finished: watch::Sender::new(false),
        });
        let mut list = self.0.lock();
        if list.closed {
            return Err(EngineError::Stopping);
        }
        list.forget_old();
        let running = list.tasks.values().filter(|task| task.is_running());
        if running.count() >= MOST_RUNNING {
            return Err(EngineError::TooManyTasks(MOST_RUNNING));
        }
        let running_task = Arc::clone(&task);
        let thread = std::thread::Builder::new()
            .name(format!("task-{kind:?}").to_lowercase())
            .spawn(move || {
                let work = std::panic::AssertUnwindSafe(|| work(&running_task));
                let result = std::panic::catch_unwind(work);
                running_task.end(result.unwrap_or(Err(EngineError::Interrupted)));
            })
            .map_err(EngineError::Thread)?;
        list.threads.retain(|thread| !thread.is_finished());
        list.threads.push(thread);
        list.tasks.insert(task.id.clone(), Arc::clone(&task));
        Ok(task)
    }

    /// All tasks, the newest last.
    pub(crate) fn all(&self) -> Vec<Arc<Task>> {
        self.0.lock().tasks.values().cloned().collect()
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<Task>> {
        self.0.lock().tasks.get(id).cloned()
    }

    pub(crate) fn forget(&self, id: &str) {
        self.0.lock().tasks.remove(id);
    }

    /// Accepts no more tasks, cancels snapshots and restores, and waits until accepted documents are
    /// ingested. Blocks.
    pub(crate) fn close(&self) {
        let threads = {
            let mut list = self.0.lock();
            list.closed = true;
            for task in list.tasks.values() {
                if task.is_running() && task.kind != TaskKind::Documents {
                    task.cancel();
                }
            }
            std::mem::take(&mut list.threads)
        };
        for thread in threads {
            // The task caught and reported any panic of its work.
            let _ = thread.join();
        }
    }
}

impl TaskList {
    fn forget_old(&mut self) {
        let finished: Vec<String> = (self.tasks.values())
            .filter(|task| !task.is_running())
            .map(|task| task.id.clone())
            .collect();
        let surplus = finished.len().saturating_sub(MOST_FINISHED);
        for id in &finished[..surplus] {
            self.tasks.remove(id);
        }
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests;
