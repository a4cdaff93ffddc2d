//! The version of the on-disk format, and the migrations from older versions. They run at startup on
//! the raw sled database, before anything is served.
//!
//! A migration is a file `mNNNN_subject.rs`, numbered by the format that it produces. It repeats a step
//! until no work is left. A step is one atomic batch, so a migration that was interrupted by a crash
//! continues with the next step. The new version is written last. A migration has its own copy of the
//! layouts that it reads and writes, since it must not change with later code.
//!
//! Call [`migrate`] to migrate a data folder. [`format()`] only reads the version, and [`begin`] marks a
//! database that is filled with values of an older format.

#![warn(missing_docs)]

mod error;
mod m0002_checked_values;
mod m0003_passages;
mod version;

use std::path::Path;

pub use error::MigrationError;

/// The current format.
pub const FORMAT_VERSION: u32 = 3;

struct Migration {
    /// The format that the migration produces from the previous one.
    to: u32,
    summary: &'static str,
    /// Applies the next atomic batch; `false` if no work was left.
    step: fn(&sled::Db) -> Result<bool, MigrationError>,
}

/// In ascending order without a gap up to [`FORMAT_VERSION`].
const MIGRATIONS: &[Migration] = &[
    Migration {
        to: 2,
        summary: "every value has a checksum, and long records are stored in parts",
        step: m0002_checked_values::step,
    },
    Migration {
        to: 3,
        summary: "a long text has a vector for each of its passages",
        step: m0003_passages::step,
    },
];

/// The result of [`migrate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The previous format; `None` for a new data folder.
    pub from: Option<u32>,
    /// The number of atomic batches that were applied.
    pub steps: u64,
}

/// The format of the data folder `dir` with the database `db`; `None` if no format was written.
///
/// # Errors
/// The version cannot be read or parsed.
pub fn format(db: &sled::Db, dir: &Path) -> Result<Option<u32>, MigrationError> {
    version::read(db, dir)
}

/// Sets the format of a database that is about to be filled with values of that format.
///
/// # Errors
/// The version cannot be written.
pub fn begin(db: &sled::Db, format: u32) -> Result<(), MigrationError> {
    version::write(db, format)
}

/// Migrates the database of the data folder `dir` to [`FORMAT_VERSION`]. An empty folder gets that
/// version.
///
/// # Errors
/// The folder has a newer format, or content without a version; it stays unchanged. A value is corrupt,
/// or sled fails; the migration can be continued by another call.
pub fn migrate(db: &sled::Db, dir: &Path) -> Result<Report, MigrationError> {
    let Some(from) = version::read(db, dir)? else {
        if version::has_content(db, dir)? {
            return Err(MigrationError::Unversioned { dir: dir.into() });
        }
        version::write(db, FORMAT_VERSION)?;
        return Ok(Report {
            from: None,
            steps: 0,
        });
    };
    if from > FORMAT_VERSION {
        return Err(MigrationError::Newer {
            dir: dir.into(),
            found: from,
            known: FORMAT_VERSION,
        });
    }
    let mut steps = 0;
    for migration in MIGRATIONS.iter().filter(|migration| migration.to > from) {
        tracing::info!(
            to = migration.to,
            summary = migration.summary,
            "migrating the data folder"
        );
        while (migration.step)(db)? {
            steps += 1;
        }
        version::write(db, migration.to)?;
    }
    Ok(Report {
        from: Some(from),
        steps,
    })
}

#[cfg(test)]
mod tests;
