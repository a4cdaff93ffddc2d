//! `?wait=false`: documents that are taken now and stored by a task.

use std::sync::Arc;

use actix_web::HttpResponse;
use futures_util::{Stream, StreamExt, pin_mut, stream};
use tokio::sync::mpsc;

use crate::engine::{Collection, Engine, Incoming};
use crate::error::ApiError;
use crate::memory::Share;
use crate::rest::tasks;

/// Lines that are parsed and wait to be embedded.
const WAITING: usize = 64;

/// Documents that came in one body; `share` is given back when the last is stored.
pub(super) fn batch(
    engine: &Arc<Engine>,
    collection: &Arc<Collection>,
    items: Vec<Incoming>,
    share: Share,
) -> Result<HttpResponse, ApiError> {
    let total = items.len();
    let task = engine.ingest_behind(collection, stream::iter(items), share)?;
    (0..total).for_each(|_| task.expect_one());
    Ok(tasks::accepted(&task))
}

/// Answers when the last line has come; all but the last few are stored by then.
pub(super) async fn lines(
    engine: &Arc<Engine>,
    collection: &Arc<Collection>,
    lines: impl Stream<Item = Incoming>,
) -> Result<HttpResponse, ApiError> {
    let (sender, receiver) = mpsc::channel(WAITING);
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
