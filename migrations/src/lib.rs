//! The on-disk format's version, and the numbered changes that bring an older data folder to it.
//! Runs once at start-up over the raw sled database, before anything is served.

mod error;

pub use error::MigrationError;
