//! CLIP-as-service's requests as protobuf, with tensors as raw bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    clipdb_api::clip_as_service::fuzzing::request_protobuf(bytes);
});
