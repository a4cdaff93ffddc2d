//! The wall clock in Unix milliseconds, as records store it.

use std::time::{SystemTime, UNIX_EPOCH};

/// The current Unix milliseconds; 0 if the clock is before 1970.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
