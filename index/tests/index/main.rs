//! The crate by its public surface.

// Clippy's exemption for tests does not reach the functions they share.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod collection;
mod deep_pages;
mod filter;
mod filter_cost;
mod fusion;
mod keyword;
mod order;
mod query_bounds;
mod scripts;
mod segments;
mod support;
mod wording;
