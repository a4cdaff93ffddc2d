//! Images on their way through the decoding threads: judged by their header, given a turn and
//! memory, decoded.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::image::{self, ImageError, ImageInfo, ImageLimits, Thumbnail, Wanted};
use crate::pool::{Pool, Turn, Weight};
use crate::{EmbedError, Priority};

/// Images that take no longer are light work. A photo of 24 megapixels is.
const QUICK: Duration = Duration::from_millis(400);

pub(crate) struct Decoding {
    pub pool: Pool,
    pub limits: ImageLimits,
}

/// What was made of an image.
pub(crate) struct Decoded<T> {
    pub info: ImageInfo,
    pub made: T,
    pub took: Duration,
    /// Whoever goes on with it keeps the turn for as long as it waits, so that no more images than
    /// there are threads wait decoded.
    pub turn: Turn,
}

impl Decoding {
    /// Makes something of an image, for as long as somebody waits for it.
    pub async fn decode<T: Send + 'static>(
        &self,
        bytes: Bytes,
        priority: Priority,
        make: impl FnOnce(&[u8], &ImageLimits, Wanted<'_>) -> Result<T, ImageError> + Send + 'static,
    ) -> Result<Decoded<T>, EmbedError> {
        let limits = self.limits;
        let turn = self.pool.turn(Weight::Light, priority).await?;
        let header = bytes.clone();
        let inspect = move |_: Wanted<'_>| Ok(image::inspect(&header, &limits)?);
        let info = self
            .pool
            .run(Weight::Light, "reading an image's header", inspect)
            .await?;
        let quick = image::expected_time(&info) <= QUICK;
        let weight = self.pool.weight(image::decode_cost(&info), quick);
        let turn = match weight {
            Weight::Light => turn,
            Weight::Heavy => {
                drop(turn);
                self.pool.turn(weight, priority).await?
            }
        };
        let reservation = self.pool.reserve(weight, image::decode_cost(&info)).await?;
        // Turn and memory stay with the work: it may outlive this future.
        let work = move |wanted: Wanted<'_>| {
            let begun = Instant::now();
            let made = make(&bytes, &limits, wanted)?;
            drop(reservation);
            Ok(Decoded {
                info,
                made,
                took: begun.elapsed(),
                turn,
            })
        };
        self.pool.run(weight, "decoding an image", work).await
    }
}

/// Threads that draw small versions of images, apart from any model.
pub struct Thumbnails {
    decoding: Decoding,
}

impl Thumbnails {
    /// `memory` is in bytes, for all that are drawn at a time.
    ///
    /// # Errors
    /// There are no threads.
    pub fn new(threads: usize, memory: u64, limits: ImageLimits) -> Result<Self, EmbedError> {
        Ok(Self {
            decoding: Decoding {
                pool: Pool::new(threads, memory)?,
                limits,
            },
        })
    }

    /// As [`thumbnail`](crate::thumbnail).
    ///
    /// # Errors
    /// [`EmbedError::Image`] when the bytes are at fault, [`EmbedError::DecodeMemory`].
    pub async fn draw(&self, bytes: Bytes, width: u32) -> Result<Thumbnail, EmbedError> {
        let draw = move |bytes: &[u8], limits: &ImageLimits, wanted: Wanted<'_>| {
            image::thumbnail_while(bytes, width, limits, wanted)
        };
        let drawn = self.decoding.decode(bytes, Priority::Search, draw).await?;
        Ok(drawn.made)
    }
}
