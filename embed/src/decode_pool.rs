//! Decoding images on a thread pool: reads the header, waits for a thread and memory, then decodes.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::image::{self, ImageError, ImageInfo, ImageLimits, IsWanted, Thumbnail};
use crate::pool::{Pool, ThreadPermit, Weight};
use crate::{EmbedError, Priority};

pub(crate) struct DecodePool {
    pub pool: Pool,
    pub limits: ImageLimits,
}

/// The result of a decode.
pub(crate) struct Decoded<T> {
    pub info: ImageInfo,
    pub output: T,
    pub took: Duration,
    /// The caller keeps the permit while it waits for the queue. This bounds the number of decoded
    /// images that wait to the number of threads.
    pub permit: ThreadPermit,
}

impl DecodePool {
    /// Decodes an image with `decode`, unless the caller drops the future first.
    ///
    /// # Errors
    /// [`EmbedError::Image`], or [`EmbedError::DecodeMemory`] if the image exceeds the memory budget.
    pub async fn decode<T: Send + 'static>(
        &self,
        bytes: Bytes,
        priority: Priority,
        decode: impl FnOnce(&[u8], &ImageLimits, IsWanted<'_>) -> Result<T, ImageError> + Send + 'static,
    ) -> Result<Decoded<T>, EmbedError> {
        let limits = self.limits;
        let permit = self.pool.permit(Weight::Light, priority).await?;
        let header = bytes.clone();
        let inspect = move |_: IsWanted<'_>| Ok(image::inspect(&header, &limits)?);
        let info = self
            .pool
            .run(Weight::Light, "reading an image's header", inspect)
            .await?;
        let cost = image::decode_cost(&info);
        let weight = self.pool.weight(cost, image::expected_time(&info));
        let permit = match weight {
            Weight::Light => permit,
            Weight::Heavy => {
                drop(permit);
                self.pool.permit(weight, priority).await?
            }
        };
        let reservation = self.pool.reserve(weight, cost).await?;
        // The work owns the permit and the memory, because it may outlive this future.
        let work = move |wanted: IsWanted<'_>| {
            let begun = Instant::now();
            let output = decode(&bytes, &limits, wanted)?;
            drop(reservation);
            Ok(Decoded {
                info,
                output,
                took: begun.elapsed(),
                permit,
            })
        };
        self.pool.run(weight, "decoding an image", work).await
    }
}

/// A thread pool that creates thumbnails, independent of any model.
pub struct Thumbnails {
    pool: DecodePool,
}

impl Thumbnails {
    /// Starts the threads. `memory` is the memory budget in bytes for all concurrent decodes.
    ///
    /// # Errors
    /// [`EmbedError::Panicked`] if the threads cannot be spawned.
    pub fn new(threads: usize, memory: u64, limits: ImageLimits) -> Result<Self, EmbedError> {
        Ok(Self {
            pool: DecodePool {
                pool: Pool::new(threads, memory)?,
                limits,
            },
        })
    }

    /// Creates a thumbnail, as [`thumbnail`](crate::thumbnail) does.
    ///
    /// # Errors
    /// [`EmbedError::Image`] if the file cannot be used, [`EmbedError::DecodeMemory`] if it exceeds
    /// the memory budget.
    pub async fn draw(&self, bytes: Bytes, width: u32) -> Result<Thumbnail, EmbedError> {
        let draw = move |bytes: &[u8], limits: &ImageLimits, wanted: IsWanted<'_>| {
            image::thumbnail_while(bytes, width, limits, wanted)
        };
        let drawn = self.pool.decode(bytes, Priority::Search, draw).await?;
        Ok(drawn.output)
    }
}
