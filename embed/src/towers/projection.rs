//! The projection of a tower's features into the space that both towers share.

use serde::Deserialize;
use tch::Tensor;

use super::layers::{Activation, Mlp};
use super::linear::Linear;
use crate::EmbedError;
use crate::sources::CONFIG;
use crate::weights::Scope;

pub(crate) enum Projection {
    /// The features are in the shared space already.
    Identity,
    Linear(Linear),
    Mlp(Mlp),
    /// A linear layer followed by an activation.
    Dense(Linear, Activation),
    ParallelMlps(ParallelMlps),
}

/// `image_projection` of a `clipdb-dual-encoder`.
#[derive(Debug, Deserialize)]
pub(crate) struct ParallelMlpsConfig {
    branches: Vec<GatedMlpConfig>,
}

#[derive(Debug, Deserialize)]
struct GatedMlpConfig {
    name: String,
    /// The features that it reads: from the first index to before the second.
    input: (i64, i64),
    activation: Activation,
    #[serde(default)]
    gate: bool,
}

/// The sum of several two-layer networks, each of which reads a slice of the features.
pub(crate) struct ParallelMlps(Vec<GatedMlp>);

/// A two-layer network. Its optional gate computes a weight for the output from the same features.
struct GatedMlp {
    start: i64,
    length: i64,
    /// Mean and standard deviation of each feature, for standardisation.
    standard: Option<(Tensor, Tensor)>,
    hidden: Linear,
    activation: Activation,
    output: Linear,
    gate: Option<Linear>,
}

impl Projection {
    pub fn forward(&self, features: &Tensor) -> tch::Result<Tensor> {
        match self {
            Self::Identity => Ok(features.shallow_clone()),
            Self::Linear(linear) => linear.forward(features),
            Self::Mlp(mlp) => mlp.forward(features),
            Self::Dense(linear, activation) => activation.forward(&linear.forward(features)?),
            Self::ParallelMlps(mlps) => mlps.forward(features),
        }
    }
}

impl ParallelMlps {
    /// From `width` features to `dim` dimensions of the shared space.
    pub fn new(
        weights: &Scope<'_>,
        config: &ParallelMlpsConfig,
        width: i64,
        dim: i64,
    ) -> Result<Self, EmbedError> {
        if config.branches.is_empty() {
            return Err(EmbedError::file(
                CONFIG,
                "its image_projection has no branches",
            ));
        }
        config
            .branches
            .iter()
            .map(|branch| GatedMlp::new(&weights.at(&branch.name), branch, width, dim))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn forward(&self, features: &Tensor) -> tch::Result<Tensor> {
        let outputs = self
            .0
            .iter()
            .map(|mlp| mlp.forward(features))
            .collect::<tch::Result<Vec<_>>>()?;
        Tensor::f_stack(&outputs, 0)?.f_sum_dim_intlist([0i64].as_slice(), false, None)
    }
}

impl GatedMlp {
    fn new(
        weights: &Scope<'_>,
        config: &GatedMlpConfig,
        width: i64,
        dim: i64,
    ) -> Result<Self, EmbedError> {
        let (start, end) = config.input;
        if start < 0 || end <= start || end > width {
            return Err(EmbedError::file(
                CONFIG,
                format!(
                    "the branch '{}' reads features {start} to {end} of {width}",
                    config.name
                ),
            ));
        }
        let length = end - start;
        let standard = if weights.has("mean") || weights.has("std") {
            Some((
                weights.get_f32("mean", &[length])?,
                weights.get_f32("std", &[length])?,
            ))
        } else {
            None
        };
        let units = weights.first_dimension("hidden.bias")?;
        Ok(Self {
            start,
            length,
            standard,
            hidden: Linear::new(&weights.at("hidden"), length, units)?,
            activation: config.activation,
            output: Linear::without_bias(&weights.at("output"), units, dim)?,
            gate: config
                .gate
                .then(|| Linear::new(&weights.at("gate"), length, 1))
                .transpose()?,
        })
    }

    fn forward(&self, features: &Tensor) -> tch::Result<Tensor> {
        let slice = features.f_narrow(1, self.start, self.length)?;
        let slice = match &self.standard {
            Some((mean, deviation)) => slice
                .f_sub(mean)?
                .f_div(deviation)?
                .f_to_kind(features.f_kind()?)?,
            None => slice,
        };
        let hidden = self.activation.forward(&self.hidden.forward(&slice)?)?;
        let output = self.output.forward(&hidden)?;
        match &self.gate {
            Some(gate) => output.f_mul(&gate.forward(&slice)?.f_sigmoid_()?),
            None => Ok(output),
        }
    }
}
