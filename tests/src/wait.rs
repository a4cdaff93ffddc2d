//! Waits for background work of the server.

use std::thread;
use std::time::{Duration, Instant};

/// Waits until `condition` holds. Returns `false` if it does not within ten minutes.
pub fn wait_until(mut condition: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(600) {
        if condition() {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    false
}
