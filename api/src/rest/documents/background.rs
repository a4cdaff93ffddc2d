//! `?wait=false`: a task stores the documents after the response.

use std::sync::{Arc, OnceLock};

use actix_web::HttpResponse;
use futures_util::{Stream, StreamExt, pin_mut, stream};
use tokio::sync::mpsc;

use crate::http::error::ApiError;
use crate::rest::documents::reader::DocumentReader;
use crate::rest::tasks;
use clipdb_engine::{Collection, Engine, Incoming, MemoryPermit, Task};

/// Parsed lines that wait to be embedded.
const QUEUE: usize = 64;

/// Stores the documents of a body; `share` is freed when the last one is stored.
pub(super) fn batch(
    engine: &Arc<Engine>,
    collection: &Arc<Collection>,
    documents: DocumentReader,
    share: MemoryPermit,
) -> Result<HttpResponse, ApiError> {
    if let Some(count) = documents.known_count() {
        let task = engine.ingest_behind(collection, documents.stream(), share)?;
        task.expect(count);
        return Ok(tasks::accepted(&task));
    }
    // Which files are documents is known only after the documents that name files are parsed.
    let task = Arc::new(OnceLock::<Arc<Task>>::new());
    let own = Arc::clone(&task);
    // Set before the task's thread needs it, or soon after.
    let counted = documents.stream().inspect(move |_| own.wait().expect_one());
    let begun = engine.ingest_behind(collection, counted, share)?;
    Ok(tasks::accepted(task.get_or_init(|| begun)))
}

/// Responds once the last line is received; all but the last few are stored by then.
pub(super) async fn lines(
    engine: &Arc<Engine>,
    collection: &Arc<Collection>,
    lines: impl Stream<Item = Incoming>,
) -> Result<HttpResponse, ApiError> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let waiting = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|item| (item, receiver))
    });
    let task = engine.ingest_behind(collection, waiting, ())?;
    pin_mut!(lines);
    while let Some(line) = lines.next().await {
        task.expect_one();
        if sender.send(line).await.is_err() {
            // The task was cancelled.
            break;
        }
    }
    drop(sender);
    Ok(tasks::accepted(&task))
}
