//! Format 2 to 3: a text may have several vectors, and where each lies in it.
//!
//! | new in format 3 | |
//! |---|---|
//! | `V` key `t` passage | the vector of a text's second or later passage (u16, big endian, from 1) |
//! | `passages` in a document's JSON | `[[start, end], …]` in bytes, absent where one vector is of the whole text |
//!
//! Nothing that is there changes: a text of format 2 has one vector. A program that knows format
//! 2 alone would take the new keys for damage, so it has to refuse the folder.

use sled::Db;

use crate::MigrationError;

pub(crate) fn step(_: &Db) -> Result<bool, MigrationError> {
    Ok(false)
}
