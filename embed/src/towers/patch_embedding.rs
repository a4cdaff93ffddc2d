//! The first layer of a vision transformer (Dosovitskiy et al. 2020): square patches of the
//! image, each projected to one row of features.

use tch::Tensor;

use crate::EmbedError;
use crate::sources::CONFIG;
use crate::weights::Scope;

pub(super) struct PatchEmbedding {
    /// `[width, 3, patch, patch]`.
    weight: Tensor,
    /// `[width]`.
    bias: Option<Tensor>,
    patch: i64,
}

/// The grid of patches that cover a square image. A margin narrower than a patch is ignored.
pub(super) struct PatchGrid {
    patch: i64,
    /// Patches in the whole grid.
    pub count: i64,
}

impl PatchGrid {
    /// # Errors
    /// [`EmbedError::ModelFile`] if the image is smaller than one patch, or a patch is empty.
    pub fn new(image_size: i64, patch: i64) -> Result<Self, EmbedError> {
        if patch <= 0 || image_size < patch {
            return Err(EmbedError::file(
                CONFIG,
                format!(
                    "an image of {image_size} pixels cannot be divided into patches of {patch}"
                ),
            ));
        }
        let side = image_size / patch;
        Ok(Self {
            patch,
            count: side * side,
        })
    }
}

impl PatchEmbedding {
    /// Reads the tensor `weight` and, if it is named, `bias`.
    pub fn new(
        weights: &Scope<'_>,
        weight: &str,
        bias: Option<&str>,
        width: i64,
        grid: &PatchGrid,
    ) -> Result<Self, EmbedError> {
        let patch = grid.patch;
        Ok(Self {
            weight: weights.get(weight, &[width, 3, patch, patch])?,
            bias: bias.map(|name| weights.get(name, &[width])).transpose()?,
            patch,
        })
    }

    /// `[n, 3, side, side]` to `[n, patches, width]`.
    pub fn forward(&self, pixels: &Tensor) -> tch::Result<Tensor> {
        pixels
            .f_conv2d(&self.weight, self.bias.as_ref(), self.patch, 0, 1, 1)?
            .f_flatten(2, 3)?
            .f_transpose(1, 2)
    }
}
