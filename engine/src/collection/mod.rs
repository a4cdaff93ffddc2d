//! Collections: the definition, the slot in the engine, the indexes, and the committer, which is the
//! only writer.

pub(crate) mod closed;
#[allow(clippy::module_inception, reason = "the type that the folder is about")]
pub(crate) mod collection;
pub(crate) mod committer;
pub(crate) mod consistency;
pub(crate) mod damage;
pub(crate) mod definition;
pub(crate) mod field_limit;
pub(crate) mod lazy_index;
pub(crate) mod open_indexes;
pub(crate) mod pool;
pub(crate) mod readiness;
pub(crate) mod rows;
pub(crate) mod shared;
pub(crate) mod slot;
pub(crate) mod summary;
pub(crate) mod vector_index;
