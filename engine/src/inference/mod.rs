//! Inference without storage: embedding inputs and ranking candidates.

pub(crate) mod encode;
pub(crate) mod rank;
