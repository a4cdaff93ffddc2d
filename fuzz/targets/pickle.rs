//! The pickle of a PyTorch checkpoint: a program for a stack machine, none of which may run.
#![no_main]

libfuzzer_sys::fuzz_target!(|code: &[u8]| {
    clipdb_embed::fuzzing::pickle(code);
});
