//! Every decoder, under the server's limits: an image that decodes has the size that its header
//! promised.
#![no_main]

use clipdb_embed::image::{ImageLimits, inspect};
use clipdb_embed::thumbnail;

/// A larger image only takes longer. The header's own target has the full limit.
const MOST_PIXELS: u64 = 4_000_000;

libfuzzer_sys::fuzz_target!(init: clipdb_fuzz::abort_at_our_panics_only(), |bytes: &[u8]| {
    let limits = ImageLimits::default();
    let Ok(info) = inspect(bytes, &limits) else {
        assert!(thumbnail(bytes, 64, &limits).is_err(), "what has no header has no pixels");
        return;
    };
    if u64::from(info.width) * u64::from(info.height) > MOST_PIXELS {
        return;
    }
    if let Ok(small) = thumbnail(bytes, 64, &limits) {
        assert!(inspect(&small.bytes, &limits).is_ok(), "a thumbnail is an image");
    }
});
