//! `clipdb ingest`: sends any number of files to a server in bounded memory.
//!
//! One thread reads files into batches. Several requests are in flight at the same time, so that the
//! server always has a full batch for its model.

mod batches;
mod delivery;
mod drafts;
mod failure;
mod files;
mod ids;
mod interrupt;
mod progress;
mod walk;

use super::connection::Connection;
use super::{ClientError, ServerArguments, print_out};
use batches::Batch;
use clap::Args;
use drafts::{Draft, drafts};
use ids::Ids;
use interrupt::Interrupt;
use progress::{Counts, Progress, summary, unfinished};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use walk::Walk;

/// A contract with scripts.
const EXIT_CODES: &str = "Exit codes: 0 all documents are stored; 1 some are not, see standard error; \
    2 invalid arguments; 130 interrupted";

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct IngestArguments {
    /// Images, folders (searched for images, .txt and .ndjson), text files (one document per line),
    /// NDJSON (`.ndjson`, `.jsonl`)
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Metadata added to every document; the value is JSON, or a string if it is not valid JSON;
    /// repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_metadata)]
    pub metadata: Vec<(String, Value)>,

    /// Skip documents whose id already exists in the collection; resumes an interrupted ingest
    #[arg(long)]
    pub skip_existing: bool,

    /// Make ids from this prefix and the path relative to the only PATH; without it, the id of a file
    /// is its absolute path
    #[arg(long, value_name = "PREFIX")]
    pub id_prefix: Option<String>,

    /// Number of concurrent requests
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub in_flight: u16,

    #[command(flatten)]
    pub server: ServerArguments,
}

/// Sends all files under the paths. Each document that fails is reported on standard error and makes
/// the exit code 1.
///
/// # Errors
/// The ingest cannot continue: no server, a wrong key.
pub fn run(arguments: &IngestArguments) -> Result<ExitCode, ClientError> {
    if arguments.id_prefix.is_some() && arguments.paths.len() > 1 {
        return Err(ClientError::OnePath);
    }
    let connection = Connection::open(&arguments.server)?;
    connection.ensure_collection()?;
    let interrupt = Interrupt::listen()?;
    let ids = Ids::new(arguments.id_prefix.clone());
    let bytes = Walk::new(&arguments.paths, &ids)
        .take_while(|_| !interrupt.requested())
        .map(|file| file.map_or_else(|failure| failure.weight, |file| file.bytes))
        .sum();
    let progress = Progress::start(bytes);
    let sent = send_all(arguments, &ids, &connection, &progress, &interrupt);
    let (counts, elapsed, left) = progress.finish();
    let complete = sent.is_ok() && !interrupt.requested();
    if counts != Counts::default() || !complete {
        print_out(&summary(counts, elapsed))?;
    } else {
        print_out("nothing to ingest: found no image, .txt, .ndjson or .jsonl file\n")?;
    }
    if !complete {
        print_out(&unfinished(left, arguments.skip_existing))?;
    }
    sent?;
    Ok(if interrupt.requested() {
        ExitCode::from(interrupt::EXIT_CODE)
    } else if counts.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn send_all(
    arguments: &IngestArguments,
    ids: &Ids,
    connection: &Connection,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<(), ClientError> {
    let metadata: Map<String, Value> = arguments.metadata.iter().cloned().collect();
    let in_flight = usize::from(arguments.in_flight);
    // One batch is queued per request in flight, which bounds the memory.
    let (sender, receiver) = sync_channel::<Vec<Draft>>(in_flight);
    let receiver = Arc::new(Mutex::new(receiver));
    let stopped = AtomicBool::new(false);
    let send = |batch: &[Draft]| {
        let batch: Vec<&Draft> = if arguments.skip_existing {
            delivery::missing(connection, batch, progress)?
        } else {
            batch.iter().collect()
        };
        if batch.is_empty() {
            return Ok(());
        }
        delivery::deliver(connection, &batch, progress)
    };
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..in_flight)
            .map(|number| {
                let receiver = Arc::clone(&receiver);
                let (stopped, send) = (&stopped, &send);
                let is_over = move || stopped.load(Ordering::Relaxed) || interrupt.requested();
                std::thread::Builder::new()
                    .name(format!("ingest-{number}"))
                    .spawn_scoped(scope, move || {
                        let outcome = send_batches(&receiver, is_over, send);
                        stopped.fetch_or(outcome.is_err(), Ordering::Relaxed);
                        outcome
                    })
                    .map_err(|source| ClientError::Thread { source })
            })
            .collect::<Result<_, _>>()?;
        // The last sender thread must close the channel, or the loop below would block forever if all of
        // them failed.
        drop(receiver);
        let mut batch = Batch::default();
        let documents = Walk::new(&arguments.paths, ids).flat_map(|file| match file {
            Ok(file) => drafts(file, &metadata),
            Err(failure) => Box::new(std::iter::once(Err(failure))),
        });
        for document in documents {
            if interrupt.requested() {
                break;
            }
            match document {
                Ok(draft) => {
                    if let Some(full) = batch.push(draft)
                        && sender.send(full).is_err()
                    {
                        break;
                    }
                }
                Err(failure) => progress.failed(&failure),
            }
        }
        if let Some(rest) = batch.take() {
            // Fails only if every sender thread has ended with the error returned below.
            let _ = sender.send(rest);
        }
        drop(sender);
        senders
            .into_iter()
            .map(|sender| match sender.join() {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .fold(Ok(()), Result::and)
    })
}

/// Sends batches until the channel is closed or `is_over`: another thread has failed, or the user has
/// interrupted the ingest.
fn send_batches(
    batches: &Mutex<Receiver<Vec<Draft>>>,
    is_over: impl Fn() -> bool,
    send: impl Fn(&[Draft]) -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    while !is_over() {
        let next = batches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        match next {
            Ok(batch) => send(&batch)?,
            Err(_) => break,
        }
    }
    Ok(())
}

fn parse_metadata(given: &str) -> Result<(String, Value), String> {
    match given.split_once('=') {
        Some((key, value)) if !key.is_empty() => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
            Ok((key.to_owned(), value))
        }
        _ => Err("metadata must have the form KEY=VALUE, such as year=2024".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted_server::{Request, ScriptedServer};
    use super::*;
    use serde_json::json;
    use std::sync::atomic::AtomicU32;

    const POST: &str = "POST /collections/default/documents";

    /// Answers a line of NDJSON as `created`.
    fn created(request: &Request) -> Vec<Value> {
        let lines = request.body.lines();
        lines
            .map(|_| json!({"id": "x", "status": "created"}))
            .collect()
    }

    fn ingest(server: &ScriptedServer, text: &str, more: &[&str]) -> Result<ExitCode, ClientError> {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            ingest: IngestArguments,
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book.txt");
        std::fs::write(&path, text).unwrap();
        let words = [&["ingest", path.to_str().unwrap()], more].concat();
        let mut command = <Command as clap::Parser>::try_parse_from(words).unwrap();
        command.ingest.server = server.arguments();
        run(&command.ingest)
    }

    #[test]
    fn an_overloaded_server_is_retried_and_a_rejected_request_is_split() {
        let asked = AtomicU32::new(0);
        let server = ScriptedServer::start(move |request| {
            if request.line != POST {
                return (200, json!({}));
            }
            match asked.fetch_add(1, Ordering::Relaxed) {
                0 => (503, json!({"code": "overloaded"})),
                _ if request.body.lines().count() > 1 => (413, json!({"code": "too_large"})),
                _ => (200, json!({"results": created(request)})),
            }
        });
        let code = ingest(&server, "one\ntwo\nthree\n", &[]).unwrap();
        assert_eq!(code, ExitCode::SUCCESS);
        let lines: Vec<_> = server
            .bodies(POST)
            .iter()
            .map(|body| body.lines().count())
            .collect();
        assert_eq!(lines, [3, 3, 1, 2, 1, 1]);
    }

    #[test]
    fn a_document_fails_alone_and_one_that_met_an_overload_is_retried() {
        let asked = AtomicU32::new(0);
        let server = ScriptedServer::start(move |request| {
            if request.line != POST {
                return (200, json!({}));
            }
            let mut results = created(request);
            if asked.fetch_add(1, Ordering::Relaxed) == 0 {
                let failed = |status| json!({"status": "failed", "error": {"status": status, "detail": "no"}});
                results[0] = failed(503);
                results[2] = failed(422);
            }
            (200, json!({"results": results}))
        });
        let code = ingest(&server, "one\ntwo\nthree\n", &[]).unwrap();
        assert_eq!(code, ExitCode::FAILURE, "the third failed for good");
        let bodies = server.bodies(POST);
        assert_eq!(bodies.len(), 2);
        assert!(bodies[1].contains("\"one\"") && bodies[1].lines().count() == 1);
    }

    #[test]
    fn existing_documents_are_skipped_on_request() {
        let server = ScriptedServer::start(|request| {
            if request.line == POST {
                (200, json!({"results": created(request)}))
            } else if request.line.ends_with("book.txt:2") {
                (404, json!({"code": "document_not_found"}))
            } else {
                (200, json!({}))
            }
        });
        ingest(&server, "one\ntwo\nthree\n", &["--skip-existing"]).unwrap();
        let [body] = &server.bodies(POST)[..] else {
            panic!("one request")
        };
        assert!(
            body.contains("\"two\"") && body.lines().count() == 1,
            "{body}"
        );
    }

    #[test]
    fn a_missing_collection_is_created() {
        let server = ScriptedServer::start(|request| match request.line.as_str() {
            "GET /collections/default" => (404, json!({"code": "collection_not_found"})),
            POST => (200, json!({"results": created(request)})),
            _ => (201, json!({})),
        });
        ingest(&server, "one\n", &[]).unwrap();
        assert_eq!(server.bodies("PUT /collections/default"), ["{}"]);
    }

    #[test]
    fn a_rejected_key_and_an_invalid_response_end_the_ingest() {
        let server = ScriptedServer::start(|_| (401, json!({"detail": "no key"})));
        let error = ingest(&server, "one\n", &[]).unwrap_err();
        assert!(matches!(error, ClientError::Unauthorized { .. }), "{error}");
        let server = ScriptedServer::start(|_| (200, json!({"results": []})));
        let error = ingest(&server, "one\n", &[]).unwrap_err();
        assert!(matches!(error, ClientError::NotClipdb { .. }), "{error}");
    }

    #[test]
    fn metadata_values_are_json_or_strings() {
        for (given, key, value) in [
            ("year=2024", "year", json!(2024)),
            ("tags=[\"cat\"]", "tags", json!(["cat"])),
            ("city=Le Mans", "city", json!("Le Mans")),
            ("formula=a=b", "formula", json!("a=b")),
            ("empty=", "empty", json!("")),
        ] {
            assert_eq!(parse_metadata(given), Ok((key.to_owned(), value)));
        }
        assert!(parse_metadata("year").is_err());
        assert!(parse_metadata("=2024").is_err());
    }
}
