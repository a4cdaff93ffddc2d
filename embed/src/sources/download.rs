//! Downloads over HTTP, with resumption and verification.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE};
use reqwest::{StatusCode, Url, redirect};
use sha2::{Digest, Sha256};

/// Attempts at a transfer that is interrupted.
const ATTEMPTS: u32 = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The timeout for the start of a response, and between two pieces of its body.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
const REDIRECTS: usize = 5;
/// The hub's headers for files in its large file storage.
const LINKED_ETAG: &str = "x-linked-etag";
const LINKED_SIZE: &str = "x-linked-size";

#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{host} cannot be reached ({reason})")]
    Unreachable { host: String, reason: String },
    #[error("the hub has no such public model ({status} for {url})")]
    Refused { url: String, status: StatusCode },
    #[error("the hub's copy has no {file}")]
    Missing { file: String },
    #[error("{url} returned {status}")]
    Status { url: String, status: StatusCode },
    #[error("{file} is corrupt: {reason}")]
    Corrupt { file: String, reason: String },
    #[error("{path}: {source}", path = path.display())]
    Disk {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl FetchError {
    pub fn disk(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { path, source }
    }
}

/// Downloads from one base URL into one folder.
pub(super) struct Downloads {
    base: String,
    folder: PathBuf,
    client: Client,
    /// Follows no redirects: the hub sends a large file's checksum with the redirect.
    head_client: Client,
}

/// The expected size and checksum of a file.
struct Expected {
    size: Option<u64>,
    /// Lower-case hexadecimal.
    sha256: Option<String>,
}

impl Downloads {
    pub fn new(base: String, folder: &Path) -> Result<Self, FetchError> {
        let client = |redirects| {
            Client::builder()
                .user_agent(concat!("clipdb/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(STALL_TIMEOUT)
                .redirect(redirects)
                .build()
                .map_err(|error| unreachable(&base, &error))
        };
        Ok(Self {
            client: client(redirect::Policy::limited(REDIRECTS))?,
            head_client: client(redirect::Policy::none())?,
            base,
            folder: folder.to_owned(),
        })
    }

    /// Downloads a file that the model requires.
    pub fn require(&self, file: &str) -> Result<(), FetchError> {
        if self.fetch(file)? {
            Ok(())
        } else if self.folder.join("config.json").exists() {
            Err(FetchError::Missing {
                file: file.to_owned(),
            })
        } else {
            Err(FetchError::Refused {
                url: self.url(file),
                status: StatusCode::NOT_FOUND,
            })
        }
    }

    /// Downloads a file unless the folder has it. Returns false if the hub has no such file.
    pub fn fetch(&self, file: &str) -> Result<bool, FetchError> {
        let path = self.folder.join(file);
        if path.exists() {
            return Ok(true);
        }
        let url = self.url(file);
        let Some(expected) = self.head(&url)? else {
            return Ok(false);
        };
        let part = self.folder.join(format!("{file}.part"));
        let bar = progress_bar(file, expected.size);
        self.transfer(&url, file, &part, &expected, &bar)?;
        bar.finish_and_clear();
        verify(file, &part, &expected)?;
        fs::rename(&part, &path).map_err(FetchError::disk(&path))?;
        Ok(true)
    }

    fn url(&self, file: &str) -> String {
        format!("{}/{file}", self.base)
    }

    /// Requests the size and checksum of a file; `None` if there is no such file.
    fn head(&self, url: &str) -> Result<Option<Expected>, FetchError> {
        let mut at = url.to_owned();
        for _ in 0..=REDIRECTS {
            let response = self
                .head_client
                .head(&at)
                .send()
                .map_err(|error| unreachable(&at, &error))?;
            let status = response.status();
            let header = |name: &str| response.headers().get(name)?.to_str().ok();
            let sha256 = header(LINKED_ETAG)
                .map(|etag| {
                    etag.trim_start_matches("W/")
                        .trim_matches('"')
                        .to_ascii_lowercase()
                })
                .filter(|etag| {
                    etag.len() == 64 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())
                });
            if status.is_success() || (status.is_redirection() && sha256.is_some()) {
                let size = if status.is_success() {
                    header(LINKED_SIZE).or_else(|| header(CONTENT_LENGTH.as_str()))
                } else {
                    header(LINKED_SIZE)
                };
                let size = size.and_then(|size| size.parse().ok());
                return Ok(Some(Expected { size, sha256 }));
            }
            let next = header(LOCATION.as_str())
                .filter(|_| status.is_redirection())
                .and_then(|next| Url::parse(&at).ok()?.join(next).ok());
            at = match (next, status) {
                (Some(next), _) => next.into(),
                (None, StatusCode::NOT_FOUND) => return Ok(None),
                (None, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                    return Err(FetchError::Refused { url: at, status });
                }
                (None, _) => return Err(FetchError::Status { url: at, status }),
            };
        }
        Err(FetchError::Status {
            url: url.to_owned(),
            status: StatusCode::LOOP_DETECTED,
        })
    }

    /// Downloads the rest of `part`, with retries.
    fn transfer(
        &self,
        url: &str,
        file: &str,
        part: &Path,
        expected: &Expected,
        bar: &ProgressBar,
    ) -> Result<(), FetchError> {
        let mut attempt = 1;
        loop {
            match self.transfer_once(url, part, expected, bar) {
                Err(FetchError::Unreachable { host, reason }) if attempt < ATTEMPTS => {
                    tracing::warn!(file, %host, %reason, attempt, "the transfer was interrupted: retrying");
                    std::thread::sleep(Duration::from_millis(250 << attempt));
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    fn transfer_once(
        &self,
        url: &str,
        part: &Path,
        expected: &Expected,
        bar: &ProgressBar,
    ) -> Result<(), FetchError> {
        let mut have = fs::metadata(part).map_or(0, |metadata| metadata.len());
        if expected.size == Some(have) && have > 0 {
            return Ok(());
        }
        if expected.size.is_some_and(|size| have > size) {
            have = 0;
        }
        let mut request = self.client.get(url);
        if have > 0 {
            request = request.header(RANGE, format!("bytes={have}-"));
        }
        let response = request.send().map_err(|error| unreachable(url, &error))?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if continues_at(&response, have) => {}
            StatusCode::OK => have = 0,
            // The partial file does not match the remote one: restart from the beginning.
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                fs::remove_file(part).map_err(FetchError::disk(part))?;
                return Err(FetchError::Unreachable {
                    host: url.to_owned(),
                    reason: "the transfer cannot be resumed".to_owned(),
                });
            }
            status => {
                return Err(FetchError::Status {
                    url: url.to_owned(),
                    status,
                });
            }
        }
        let mut out = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(have == 0)
            .append(have > 0)
            .open(part)
            .map_err(FetchError::disk(part))?;
        bar.set_position(have);
        copy(response, url, &mut out, part, bar)
    }
}

/// Whether a partial response starts at the requested offset.
fn continues_at(response: &Response, have: u64) -> bool {
    response
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|range| range.to_str().ok())
        .is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}

fn copy(
    mut response: Response,
    url: &str,
    out: &mut File,
    part: &Path,
    bar: &ProgressBar,
) -> Result<(), FetchError> {
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = response
            .read(&mut buffer)
            .map_err(|error| FetchError::Unreachable {
                host: url.to_owned(),
                reason: error.to_string(),
            })?;
        if count == 0 {
            return out.sync_all().map_err(FetchError::disk(part));
        }
        out.write_all(&buffer[..count])
            .map_err(FetchError::disk(part))?;
        bar.inc(count as u64);
    }
}

/// Deletes `part` if its size or checksum is wrong.
fn verify(file: &str, part: &Path, expected: &Expected) -> Result<(), FetchError> {
    let size = fs::metadata(part).map_err(FetchError::disk(part))?.len();
    let reason = if expected.size.is_some_and(|wanted| wanted != size) {
        Some("it has the wrong size")
    } else if let Some(wanted) = &expected.sha256
        && sha256(part)? != *wanted
    {
        Some("its SHA-256 is wrong")
    } else {
        None
    };
    let Some(reason) = reason else { return Ok(()) };
    fs::remove_file(part).map_err(FetchError::disk(part))?;
    Err(FetchError::Corrupt {
        file: file.to_owned(),
        reason: format!("{reason}, so it was deleted"),
    })
}

fn sha256(path: &Path) -> Result<String, FetchError> {
    let mut file = File::open(path).map_err(FetchError::disk(path))?;
    let mut hasher = Sha256::new();
    std::io::copy(&mut file, &mut hasher).map_err(FetchError::disk(path))?;
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn progress_bar(file: &str, size: Option<u64>) -> ProgressBar {
    let template = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    size.map_or_else(ProgressBar::no_length, ProgressBar::new)
        .with_style(style)
        .with_message(file.to_owned())
}

/// Reports the root cause, which a user can act on ("connection refused").
fn unreachable(url: &str, error: &dyn std::error::Error) -> FetchError {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let host = Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_else(|| url.to_owned());
    FetchError::Unreachable {
        host,
        reason: cause.to_string(),
    }
}
