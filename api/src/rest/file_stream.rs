//! A file as a body, in chunks.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use bytes::Bytes;
use clipdb_engine::blocking;
use futures_util::{Stream, stream};

use crate::http::error::ApiError;

/// Bytes of one read.
const CHUNK: usize = 256 << 10;

/// `bytes` of the file from `first` on, read on the thread pool for blocking work.
pub(super) fn chunks(
    file: File,
    first: u64,
    bytes: u64,
) -> impl Stream<Item = Result<Bytes, ApiError>> {
    stream::unfold(Some((file, first, bytes)), |rest| async move {
        let (mut file, first, left) = rest?;
        let read = blocking(move || {
            let length = left.min(CHUNK as u64);
            let mut chunk = Vec::with_capacity(CHUNK);
            file.seek(SeekFrom::Start(first))?;
            (&mut file).take(length).read_to_end(&mut chunk)?;
            Ok::<_, std::io::Error>((Bytes::from(chunk), file))
        });
        match read.await {
            Ok(Ok((chunk, _))) if chunk.is_empty() => None,
            Ok(Ok((chunk, file))) => {
                let read = chunk.len() as u64;
                let rest = left.saturating_sub(read);
                Some((Ok(chunk), Some((file, first + read, rest))))
            }
            // The client sees a body that ends early.
            Ok(Err(error)) => Some((Err(ApiError::BrokenBody(error.to_string())), None)),
            Err(error) => Some((Err(error.into()), None)),
        }
    })
}
