//! Format 2 to 3: a text may have several vectors, one per passage.
//!
//! | new in format 3 | |
//! |---|---|
//! | `V` key `t` passage | the vector of the second or a later passage (u16, big endian, from 1) |
//! | `passages` in the JSON of a document | `[[start, end], …]` in bytes, absent if one vector covers the whole text |
//!
//! Existing values are unchanged: a text of format 2 has one vector. A program that supports only
//! format 2 would treat the new keys as corruption, so it must reject the folder.

use sled::Db;

use crate::MigrationError;

#[allow(clippy::unnecessary_wraps, reason = "all steps have one signature")]
pub(crate) fn step(_: &Db) -> Result<bool, MigrationError> {
    Ok(false)
}
