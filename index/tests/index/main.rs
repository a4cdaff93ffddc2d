//! Tests of the crate's public interface.

// Clippy's exemption for tests does not cover functions outside of tests.
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
mod text_config;
