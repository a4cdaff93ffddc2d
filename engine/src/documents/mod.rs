//! Documents: ingesting new ones, patching one, and selecting many by a filter.

pub(crate) mod ingest;
pub(crate) mod patch;
pub(crate) mod selection;
