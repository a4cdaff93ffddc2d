//! Search: from a query's parts to a vector, from vectors and words to ranked lists, from lists to a
//! page of hits.

pub(crate) mod confidence;
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
pub(crate) mod totals;
pub(crate) mod view;
pub(crate) mod warning;
