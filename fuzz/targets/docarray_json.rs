//! CLIP-as-service's requests as JSON: documents, parameters and tensors.
#![no_main]

libfuzzer_sys::fuzz_target!(|json: &[u8]| {
    clipdb_api::clip_as_service::fuzzing::request_json(json);
});
