//! Documents on their way in: a new one, a patch of one, and the selection of many by a filter.

pub(crate) mod ingest;
pub(crate) mod patch;
pub(crate) mod selection;
