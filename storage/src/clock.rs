//! The wall clock, in the unit that records use.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix milliseconds now; 0 on a machine whose clock stands before 1970.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
