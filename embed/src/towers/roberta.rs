//! RoBERTa (Liu et al. 2019) and XLM-RoBERTa (Conneau et al. 2020): BERT trained longer
//! and on more. What differs in the network is where positions begin: behind the number
//! of the padding, which their authors' code gave a position of its own.

use super::bert::{Bert, BertConfig};
use crate::EmbedError;
use crate::weights::Scope;

/// In every published checkpoint.
pub(crate) const PADDING: i64 = 1;
pub(crate) const EPS: f64 = 1e-5;

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
