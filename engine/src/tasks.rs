//! Long work: what is under way and what came of it. Tasks live in memory: a restart forgets
//! them, and what they had not finished was never begun, as far as the data goes.

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

/// Tasks that may be under way at once: each has a thread.
const MOST_RUNNING: usize = 32;
/// Finished tasks that are remembered.
const MOST_FINISHED: usize = 1_000;
/// Failures of single documents that a task keeps; the others are counted.
const MOST_ERRORS: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    Documents,
    Snapshot,
    Restore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    Running,
    Done,
    Failed,
    Cancelled,
}

/// One piece of long work.
pub struct Task {
    pub id: String,
    pub kind: TaskKind,
    pub collection: CollectionName,
    /// Unix milliseconds.
    pub created_at: u64,
    done: AtomicU64,
    total: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicBool,
    errors: Mutex<Vec<TaskError>>,
    outcome: Mutex<Option<Outcome>>,
    finished: watch::Sender<bool>,
}

/// What went wrong, and with which document where it was one.
#[derive(Clone)]
pub struct TaskError {
    pub id: Option<String>,
    pub error: Arc<EngineError>,
}

#[derive(Clone)]
struct Outcome {
    state: TaskState,
    result: Value,
    finished_at: u64,
}

/// A task as it is at a moment.
pub struct TaskView {
    pub state: TaskState,
    pub done: u64,
    pub total: u64,
    pub failed: u64,
    pub errors: Vec<TaskError>,
    pub result: Value,
    pub finished_at: Option<u64>,
}

#[derive(Default)]
pub(crate) struct Tasks(Mutex<Known>);

#[derive(Default)]
struct Known {
    tasks: BTreeMap<String, Arc<Task>>,
    threads: Vec<JoinHandle<()>>,
    closed: bool,
}

impl Task {
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

    /// Asks for its end; it comes at the next document.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    pub fn is_running(&self) -> bool {
        self.outcome.lock().is_none()
    }

    /// One more document is to be done.
    pub fn expect_one(&self) {
        self.expect(1);
    }

    pub fn expect(&self, documents: usize) {
        self.total.fetch_add(documents as u64, Ordering::AcqRel);
    }

    /// One more document is done, well or with this error.
    pub fn one_done(&self, id: Option<String>, outcome: Result<(), EngineError>) {
        if let Err(error) = outcome {
            self.failed.fetch_add(1, Ordering::AcqRel);
            self.note(id, error);
        }
        self.done.fetch_add(1, Ordering::AcqRel);
    }

    /// How many documents were stored and how many were not.
    pub(crate) fn counted(&self) -> Value {
        let view = self.view();
        serde_json::json!({ "stored": view.done - view.failed, "failed": view.failed })
    }

    /// Comes when it has ended: its result, or why there is none.
    pub async fn ended(&self) -> Result<Value, EngineError> {
        let mut finished = self.finished.subscribe();
        // The sender is this task's own.
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

    fn note(&self, id: Option<String>, error: EngineError) {
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
                // The last one says why the whole ended.
                self.errors.lock().truncate(MOST_ERRORS - 1);
                self.note(None, error);
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
    /// Does `work` on a thread of its own.
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
        let mut known = self.0.lock();
        if known.closed {
            return Err(EngineError::Stopping);
        }
        known.forget_old();
        let running = known.tasks.values().filter(|task| task.is_running());
        if running.count() >= MOST_RUNNING {
            return Err(EngineError::TooManyTasks(MOST_RUNNING));
        }
        let own = Arc::clone(&task);
        let thread = std::thread::Builder::new()
            .name(format!("task-{kind:?}").to_lowercase())
            .spawn(move || {
                let work = std::panic::AssertUnwindSafe(|| work(&own));
                let result = std::panic::catch_unwind(work);
                own.end(result.unwrap_or(Err(EngineError::Interrupted)));
            })
            .map_err(EngineError::Thread)?;
        known.threads.retain(|thread| !thread.is_finished());
        known.threads.push(thread);
        known.tasks.insert(task.id.clone(), Arc::clone(&task));
        Ok(task)
    }

    /// The newest last.
    pub(crate) fn all(&self) -> Vec<Arc<Task>> {
        self.0.lock().tasks.values().cloned().collect()
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<Task>> {
        self.0.lock().tasks.get(id).cloned()
    }

    pub(crate) fn forget(&self, id: &str) {
        self.0.lock().tasks.remove(id);
    }

    /// Takes no more, cancels copies, finishes accepted documents. Blocks.
    pub(crate) fn close(&self) {
        let threads = {
            let mut known = self.0.lock();
            known.closed = true;
            for task in known.tasks.values() {
                if task.is_running() && task.kind != TaskKind::Documents {
                    task.cancel();
                }
            }
            std::mem::take(&mut known.threads)
        };
        for thread in threads {
            // A panic of the work was caught and told by the task.
            let _ = thread.join();
        }
    }
}

impl Known {
    fn forget_old(&mut self) {
        let finished: Vec<String> = (self.tasks.values())
            .filter(|task| !task.is_running())
            .map(|task| task.id.clone())
            .collect();
        let many = finished.len().saturating_sub(MOST_FINISHED);
        for id in &finished[..many] {
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
