//! The path of a query: parts to vectors, vectors to ranked lists, lists to one page.

pub(crate) mod grouping;
pub(crate) mod page;
pub(crate) mod paging;
pub(crate) mod passage;
pub(crate) mod query;
pub(crate) mod query_vector;
pub(crate) mod ranking;
#[allow(clippy::module_inception, reason = "the type that the folder is about")]
pub(crate) mod search;
pub(crate) mod timings;
pub(crate) mod view;
