//! A table of token embeddings, as tensor or in a compact form whose rows are expanded when they are
//! looked up. In a compact form a vocabulary of a hundred languages takes an eighth of the memory.

use tch::{Device, Kind, TchError, Tensor};

use super::layers::look_up;
use super::token_batch::TokenBatch;
use crate::EmbedError;
use crate::weights::{CompactMatrix, Scope};

pub(super) enum EmbeddingTable {
    /// `[vocabulary, width]`.
    Dense(Tensor),
    Compact {
        matrix: CompactMatrix,
        device: Device,
        kind: Kind,
    },
}

impl EmbeddingTable {
    /// Reads the tensor `name`, `[vocabulary, width]`, of `scope`.
    pub fn new(
        scope: &Scope<'_>,
        name: &str,
        vocabulary: i64,
        width: i64,
    ) -> Result<Self, EmbedError> {
        let shape = [vocabulary, width];
        Ok(match scope.compact(name, shape)? {
            Some(matrix) => Self::Compact {
                matrix,
                device: scope.device(),
                kind: scope.kind(),
            },
            None => Self::Dense(scope.get(name, &shape)?),
        })
    }

    /// The embeddings of a batch, `[n, longest, width]`. Those of padding are arbitrary.
    pub fn look_up(&self, batch: &TokenBatch) -> tch::Result<Tensor> {
        match self {
            Self::Dense(table) => look_up(table, &batch.ids),
            Self::Compact {
                matrix,
                device,
                kind,
            } => expand(matrix, batch)?
                .f_to_device(*device)?
                .f_to_kind(*kind),
        }
    }
}

fn expand(matrix: &CompactMatrix, batch: &TokenBatch) -> tch::Result<Tensor> {
    let (longest, width) = (batch.longest() as usize, matrix.columns());
    let mut numbers = Vec::with_capacity(batch.rows().len() * longest * width);
    for (place, row) in batch.rows().iter().enumerate() {
        for &id in *row {
            if !matrix.append_row(id as usize, &mut numbers) {
                let reason = format!("token {id} is not in the table of embeddings");
                return Err(TchError::Torch(reason));
            }
        }
        numbers.resize((place + 1) * longest * width, 0.0);
    }
    Tensor::f_from_slice(&numbers)?.f_view([-1, longest as i64, width as i64])
}
