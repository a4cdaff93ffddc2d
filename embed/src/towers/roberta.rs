//! RoBERTa (Liu et al. 2019) and XLM-RoBERTa (Conneau et al. 2020): BERT, trained longer and on more
//! data. The network differs in one point: positions start after the id of the padding token,
//! which has a position of its own in the authors' code.

use super::bert::{Bert, BertConfig};
use crate::EmbedError;
use crate::weights::Scope;

/// The id of the padding token in every published checkpoint.
pub(crate) const PADDING: i64 = 1;
/// The layer norms' epsilon in every published checkpoint.
pub(crate) const EPS: f64 = 1e-5;

/// Builds the tower. `padding` is the id of the padding token.
pub(crate) fn roberta(
    weights: &Scope<'_>,
    config: BertConfig,
    padding: i64,
) -> Result<Bert, EmbedError> {
    let config = BertConfig {
        first_position: padding + 1,
        ..config
    };
    Bert::new(weights, &config)
}
