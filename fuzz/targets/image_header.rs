//! An image's header, read under the server's limits.
#![no_main]

use clipdb_embed::image::{ImageLimits, decode_cost, inspect};

libfuzzer_sys::fuzz_target!(init: clipdb_fuzz::abort_at_our_panics_only(), |bytes: &[u8]| {
    let limits = ImageLimits::default();
    if let Ok(info) = inspect(bytes, &limits) {
        let pixels = u64::from(info.width) * u64::from(info.height);
        assert!(pixels > 0 && pixels <= limits.max_pixels);
        assert!(decode_cost(&info) >= pixels);
    }
});
