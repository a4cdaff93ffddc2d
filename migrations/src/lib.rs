//! The on-disk format's version, and the numbered changes that bring an older data folder to it.
//! Runs once at start-up over the raw sled database, before anything is served.
//!
//! A change is a file `mNNNN_what.rs` named by the format it leads to. It is a step repeated until
//! nothing is left to do, and a step is one atomic batch: being killed means being between two
//! steps, and running again goes on from there. The new version is written last. A change keeps
//! its own copy of the layouts it reads and writes, since it must not follow later code.
//!
//! [`migrate`] is what to call; [`format`] only looks, [`begin`]
//! marks a database that is filled from a copy of an older one.

mod error;
mod m0002_checked_values;
mod m0003_passages;
mod version;

use std::path::Path;

pub use error::MigrationError;

/// The format that this program reads and writes.
pub const FORMAT_VERSION: u32 = 3;

struct Migration {
    /// The format that the change leads to, from the one before it.
    to: u32,
    what: &'static str,
    /// Does the next piece of work as one atomic batch; `false` when there was none left.
    step: fn(&sled::Db) -> Result<bool, MigrationError>,
}

/// In order, and without a gap up to [`FORMAT_VERSION`].
const MIGRATIONS: &[Migration] = &[
    Migration {
        to: 2,
        what: "every value carries a checksum and long records are stored in parts",
        step: m0002_checked_values::step,
    },
    Migration {
        to: 3,
        what: "a long text has a vector for each of its passages",
        step: m0003_passages::step,
    },
];

/// What [`migrate`] found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The folder's format before; `None` for a new folder.
    pub from: Option<u32>,
    /// Atomic batches that were applied to it.
    pub steps: u64,
}

/// The format of the data folder `dir`, whose database is `db`; `None` where none was written.
pub fn format(db: &sled::Db, dir: &Path) -> Result<Option<u32>, MigrationError> {
    version::read(db, dir)
}

/// Says that `db`, which is to be filled with values of this format, has it.
pub fn begin(db: &sled::Db, format: u32) -> Result<(), MigrationError> {
    version::write(db, format)
}

/// Brings the database of the data folder `dir` to [`FORMAT_VERSION`].
///
/// An empty folder gets the version. A folder of a newer format, or one with content and no
/// version, is refused unchanged.
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
            what = migration.what,
            "changing the data folder's format"
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
