//! The image towers of OpenAI's and OpenCLIP's checkpoints: a vision transformer or a residual
//! network.

use crate::EmbedError;
use crate::towers::{
    Activation, ClipVision, ClipVisionConfig, ImageTower, Linear, ModifiedResNet,
    ModifiedResNetConfig, Naming, Projection,
};
use crate::weights::Scope;

const EPS: f64 = 1e-5;

pub(super) struct VisionShape {
    /// The side of the images that it reads, in pixels.
    pub image_size: i64,
    pub width: i64,
    /// The width of a head of the attention.
    pub head_width: i64,
    /// Dimensions of the shared space.
    pub dim: i64,
    pub network: VisionNetwork,
}

pub(super) enum VisionNetwork {
    Transformer {
        layers: i64,
        patch_size: i64,
        /// The width of the hidden layer of an MLP.
        inner: i64,
        activation: Activation,
    },
    ResNet {
        /// Blocks in each of the four stages.
        layers: [i64; 4],
    },
}

impl VisionShape {
    pub fn tower(&self, weights: &Scope<'_>) -> Result<Box<dyn ImageTower>, EmbedError> {
        match self.network {
            VisionNetwork::ResNet { layers } => {
                let shape = ModifiedResNetConfig {
                    image_size: self.image_size,
                    layers,
                    width: self.width,
                    heads: self.width * 32 / self.head_width,
                    output: self.dim,
                };
                Ok(Box::new(ModifiedResNet::new(weights, &shape)?))
            }
            VisionNetwork::Transformer {
                layers,
                patch_size,
                inner,
                activation,
            } => {
                let shape = ClipVisionConfig {
                    hidden_size: self.width,
                    intermediate_size: inner,
                    num_hidden_layers: layers,
                    num_attention_heads: self.width / self.head_width,
                    image_size: self.image_size,
                    patch_size,
                    hidden_act: activation,
                    layer_norm_eps: EPS,
                };
                Ok(Box::new(ClipVision::new(weights, shape, Naming::OpenClip)?))
            }
        }
    }

    /// The residual network contains its projection.
    pub fn projection(&self, weights: &Scope<'_>) -> Result<Projection, EmbedError> {
        match self.network {
            VisionNetwork::ResNet { .. } => Ok(Projection::Identity),
            VisionNetwork::Transformer { .. } => {
                Linear::transposed(weights, "proj", self.width, self.dim).map(Projection::Linear)
            }
        }
    }
}
