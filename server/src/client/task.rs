//! Waits for a task of the server.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::ClientError;
use super::connection::Connection;

const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Waits until the task has ended, shows its progress, and returns its result.
pub(super) fn wait_for(
    connection: &Connection,
    task: &Value,
    label: &'static str,
) -> Result<Value, ClientError> {
    let id = task["id"].as_str().unwrap_or_default();
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} documents") {
        bar.set_style(style);
    }
    bar.set_message(label);
    loop {
        let mut task = connection.task(id)?;
        bar.set_length(task["total"].as_u64().unwrap_or_default());
        bar.set_position(task["done"].as_u64().unwrap_or_default());
        match task["state"].as_str() {
            Some("running") => std::thread::sleep(POLL_INTERVAL),
            Some("done") => {
                bar.finish_and_clear();
                return Ok(task["result"].take());
            }
            _ => {
                bar.finish_and_clear();
                let last = task["errors"].as_array().and_then(|errors| errors.last());
                let text = |field: &str, otherwise: &str| {
                    last.and_then(|error| error[field].as_str())
                        .unwrap_or(otherwise)
                        .to_owned()
                };
                return Err(ClientError::Refused {
                    status: last
                        .and_then(|error| error["status"].as_u64())
                        .and_then(|status| u16::try_from(status).ok())
                        .unwrap_or(409),
                    code: text("code", "cancelled"),
                    detail: text("detail", "the task was cancelled"),
                });
            }
        }
    }
}
