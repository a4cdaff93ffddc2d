//! The interface of a tower: a network from inputs to one row of features per input.

use tch::Tensor;

use super::token_batch::TokenBatch;

/// A tower calls it between layers. The device thread uses it to run waiting searches, so that no
/// search waits for a complete batch of ingest.
pub(crate) type YieldPoint<'a> = &'a dyn Fn();

/// A network from tokens to one row of features per text.
pub(crate) trait TextTower: Send {
    /// The features, `[n, width]`, before the projection.
    fn forward(&self, batch: &TokenBatch, yield_point: YieldPoint<'_>) -> tch::Result<Tensor>;

    /// The number of features.
    fn width(&self) -> i64;

    /// The most tokens that it reads, including special ones.
    fn context_length(&self) -> usize;
}

/// A network from pixels to one row of features per image.
pub(crate) trait ImageTower: Send {
    /// `[n, 3, image_size, image_size]` to the features, `[n, width]`, before the projection.
    fn forward(&self, pixels: &Tensor, yield_point: YieldPoint<'_>) -> tch::Result<Tensor>;

    /// The number of features.
    fn width(&self) -> i64;

    /// The side of the images that it reads, in pixels.
    fn image_size(&self) -> usize;
}
