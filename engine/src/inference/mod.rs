//! The models by themselves: embedding inputs and ranking candidates, with nothing stored.

pub(crate) mod encode;
pub(crate) mod rank;
