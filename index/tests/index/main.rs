//! The crate by its public surface.

mod collection;
mod fusion;
mod keyword;
mod support;
