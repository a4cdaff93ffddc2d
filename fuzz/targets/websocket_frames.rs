//! A WebSocket's frames: where messages end must not depend on how the bytes arrive.
#![no_main]

use clipdb_api::clip_as_service::fuzzing::websocket_frames;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((piece, bytes)) = data.split_first() else {
        return;
    };
    let piece = usize::from(*piece).max(1);
    for limit in [300, 128 << 20] {
        let at_once = websocket_frames(bytes, usize::MAX, limit);
        let in_pieces = websocket_frames(bytes, piece, limit);
        assert_eq!(at_once, in_pieces, "pieces of {piece} bytes");
    }
});
