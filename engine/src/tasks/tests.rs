#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::mpsc;

use serde_json::json;

use super::*;

fn name() -> CollectionName {
    "a".parse().unwrap()
}

fn start(
    tasks: &Tasks,
    work: impl FnOnce(&Task) -> Result<Value, EngineError> + Send + 'static,
) -> Arc<Task> {
    tasks.start(TaskKind::Snapshot, name(), work).unwrap()
}

#[tokio::test]
async fn a_task_ends_with_its_result() {
    let tasks = Tasks::default();
    let task = start(&tasks, |task| {
        task.expect(2);
        task.one_done(None, Ok(()));
        task.one_done(Some("b".to_owned()), Err(EngineError::EmptyDocument));
        Ok(json!({"bytes": 3}))
    });
    assert_eq!(task.ended().await.unwrap(), json!({"bytes": 3}));
    let view = task.view();
    assert_eq!(view.state, TaskState::Done);
    assert_eq!((view.done, view.total, view.failed), (2, 2, 1));
    assert!(view.finished_at.is_some());
}

#[tokio::test]
async fn a_failed_task_keeps_its_error() {
    let tasks = Tasks::default();
    let task = start(&tasks, |_| Err(EngineError::EmptyFilter));
    let error = task.ended().await.unwrap_err();
    assert!(matches!(error, EngineError::Group(_)), "{error}");
    assert_eq!(task.view().state, TaskState::Failed);
}

#[tokio::test]
async fn a_task_that_panics_fails() {
    let tasks = Tasks::default();
    let task = start(&tasks, |_| panic!("in a test"));
    assert!(task.ended().await.is_err());
    assert_eq!(task.view().state, TaskState::Failed);
}

#[tokio::test]
async fn a_cancelled_task_stops_at_its_next_step() {
    let tasks = Tasks::default();
    let (go, gate) = mpsc::channel::<()>();
    let task = start(&tasks, move |task| {
        gate.recv().unwrap();
        assert!(!task.reached(1, 2), "it is asked to stop");
        Err(EngineError::Interrupted)
    });
    assert!(task.is_running());
    task.cancel();
    go.send(()).unwrap();
    let error = task.ended().await.unwrap_err();
    assert!(matches!(error, EngineError::TaskCancelled(_)), "{error}");
    assert_eq!(task.view().state, TaskState::Cancelled);
}

#[test]
fn no_more_tasks_run_at_once_than_allowed() {
    let tasks = Tasks::default();
    let (go, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    for _ in 0..MOST_RUNNING {
        let gate = Arc::clone(&gate);
        start(&tasks, move |_| {
            let _ = gate.lock().recv();
            Ok(Value::Null)
        });
    }
    let refused = tasks.start(TaskKind::Restore, name(), |_| Ok(Value::Null));
    assert!(matches!(
        refused,
        Err(EngineError::TooManyTasks(MOST_RUNNING))
    ));
    drop(go);
    tasks.close();
    assert!(tasks.all().iter().all(|task| !task.is_running()));
    let refused = tasks.start(TaskKind::Restore, name(), |_| Ok(Value::Null));
    assert!(matches!(refused, Err(EngineError::Stopping)));
}

#[tokio::test]
async fn many_errors_are_counted_and_the_first_are_kept() {
    let tasks = Tasks::default();
    let task = start(&tasks, |task| {
        for n in 0..2 * MOST_ERRORS {
            task.one_done(Some(n.to_string()), Err(EngineError::EmptyDocument));
        }
        Err(EngineError::EmptyFilter)
    });
    task.ended().await.unwrap_err();
    let view = task.view();
    assert_eq!(view.failed, 2 * MOST_ERRORS as u64);
    assert_eq!(view.errors.len(), MOST_ERRORS);
    let last = view.errors.last().unwrap();
    assert!(
        last.id.is_none(),
        "the last error is the one that failed the task"
    );
    assert!(matches!(*last.error, EngineError::EmptyFilter));
}

#[tokio::test]
async fn finished_tasks_are_forgotten_in_their_order() {
    let tasks = Tasks::default();
    let mut ids = Vec::new();
    for _ in 0..MOST_FINISHED + 5 {
        let task = start(&tasks, |_| Ok(Value::Null));
        task.ended().await.unwrap();
        ids.push(task.id.clone());
    }
    let known: Vec<String> = tasks.all().iter().map(|task| task.id.clone()).collect();
    assert_eq!(known.len(), MOST_FINISHED + 1);
    assert_eq!(known[..], ids[4..]);
    tasks.forget(&ids[10]);
    assert!(tasks.find(&ids[10]).is_none());
}
