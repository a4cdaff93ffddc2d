//! Snapshots of a collection: take, list, download, remove, restore.

use clipdb_engine::{ArchiveSource, Engine, StorageError, blocking};
use std::io::Write;
use std::path::{Path, PathBuf};

use actix_web::body::SizedStream;
use actix_web::http::header::{
    self, ContentDisposition, ContentEncoding, ContentRange, ContentRangeSpec, DispositionParam,
    DispositionType, EntityTag, TryIntoHeaderValue,
};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use serde::Deserialize;
use serde_json::json;

use crate::http::body;
use crate::http::body_reader::BodyReader;
use crate::http::error::ApiError;
use crate::http::resource::resource;
use crate::http::state::{HttpState, Open};
use crate::rest::conditional::{ByteRange, Version, last_modified};
use crate::rest::file_stream;
use crate::rest::path::{self, collection_name};
use crate::rest::tasks;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/collections/{name}/snapshots")
                .route(web::post().to(take))
                .route(web::get().to(list)),
        )
        .service(
            web::resource("/collections/{name}/snapshots/{id}")
                .route(web::get().to(download))
                .route(web::delete().to(remove)),
        )
        .service(resource(
            "/collections/{name}/restore",
            web::post().to(restore),
        ));
}

async fn take(
    Open(engine): Open,
    name: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let wait = tasks::waits(&request)?;
    let task = engine.begin_snapshot(&collection_name(&name)?)?;
    if !wait {
        return Ok(tasks::accepted(&task));
    }
    let info = task.ended().await?;
    let place = format!(
        "/collections/{}/snapshots/{}",
        &*name,
        info["id"].as_str().unwrap_or_default()
    );
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, place))
        .json(info))
}

async fn list(Open(engine): Open, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let snapshots = engine.snapshots(collection_name(&name)?).await?;
    Ok(HttpResponse::Ok().json(json!({ "snapshots": snapshots })))
}

async fn download(
    Open(engine): Open,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (name, id) = path::snapshot(&path)?;
    let file_name = format!("{name}-{}.snapshot", id.as_str());
    let (info, file) = engine.open_snapshot(name, id).await?;
    let version = Version {
        tag: EntityTag::new_strong(info.sha256),
        modified: last_modified(info.taken_at),
    };
    if version.is_known_to(&request) {
        return Ok(version.write(&mut HttpResponse::NotModified()).finish());
    }
    let range = |range| {
        ContentRange(ContentRangeSpec::Bytes {
            range,
            instance_length: Some(info.bytes),
        })
    };
    let (mut answer, first, bytes) = match version.range_for(&request, info.bytes) {
        ByteRange::Full => (HttpResponse::Ok(), 0, info.bytes),
        ByteRange::Partial { first, last } => {
            let mut answer = HttpResponse::PartialContent();
            answer.insert_header(range(Some((first, last))));
            (answer, first, last - first + 1)
        }
        ByteRange::Unsatisfiable => {
            let mut refused = ApiError::NoSuchRange { bytes: info.bytes }.error_response();
            if let Ok(range) = range(None).try_into_value() {
                refused.headers_mut().insert(header::CONTENT_RANGE, range);
            }
            return Ok(refused);
        }
    };
    Ok(version
        .write(&mut answer)
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .content_type("application/octet-stream")
        // Vectors and images do not compress.
        .insert_header(ContentEncoding::Identity)
        .insert_header(ContentDisposition {
            disposition: DispositionType::Attachment,
            parameters: vec![DispositionParam::Filename(file_name)],
        })
        .body(SizedStream::new(
            bytes,
            file_stream::chunks(file, first, bytes),
        )))
}

async fn remove(
    Open(engine): Open,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (name, id) = path::snapshot(&path)?;
    engine.remove_snapshot(name, id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A snapshot that the server has; an archive is sent as the body itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RestoreBody {
    snapshot: String,
    /// The snapshot's collection; the path's own if absent.
    collection: Option<String>,
}

async fn restore(
    Open(engine): Open,
    state: web::Data<HttpState>,
    name: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let wait = tasks::waits(&request)?;
    let name = collection_name(&name)?;
    let source = if body::media_type(&request) == "application/json" {
        let given: RestoreBody = body::read_json(&engine, &state.settings, &request, payload)
            .await?
            .0;
        let of = given.collection.unwrap_or_else(|| name.to_string());
        let (collection, id) = path::snapshot(&(of, given.snapshot))?;
        // Fails before a task is created.
        engine.open_snapshot(collection.clone(), id.clone()).await?;
        ArchiveSource::Snapshot { collection, id }
    } else {
        let pace = state.settings.pace.of_stream();
        let body = BodyReader::open(&engine, &request, payload, pace).await?;
        receive(&engine, body).await?
    };
    let task = engine.begin_restore(name, source)?;
    if !wait {
        return Ok(tasks::accepted(&task));
    }
    Ok(HttpResponse::Ok().json(task.ended().await?))
}

/// Writes the body to a file, chunk by chunk.
async fn receive(engine: &Engine, mut body: BodyReader) -> Result<ArchiveSource, ApiError> {
    let shelf = engine.shelf().clone();
    let (path, mut file) = blocking(move || shelf.incoming()).await??;
    let mut partial = Partial(Some(path.clone()));
    loop {
        let received = match body.next_of_stream().await {
            Ok(Some(chunk)) => {
                let own = path.clone();
                blocking(move || match file.write_all(&chunk) {
                    Ok(()) => Ok(file),
                    Err(source) => Err(unwritable(&own, source)),
                })
                .await?
            }
            Ok(None) => {
                partial.0 = None;
                return Ok(ArchiveSource::Upload(path));
            }
            Err(error) => Err(error),
        };
        match received {
            Ok(back) => file = back,
            Err(error) => return Err(error),
        }
    }
}

/// An incomplete archive; its file is removed on drop, for example when the client disconnects.
struct Partial(Option<PathBuf>);

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // A file that can't be removed now is removed at the next startup.
            tokio::task::spawn_blocking(move || std::fs::remove_file(path));
        }
    }
}

fn unwritable(path: &Path, source: std::io::Error) -> ApiError {
    StorageError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    }
    .into()
}
