//! Entry points for the fuzz targets in `fuzz/`, compiled only with `--cfg fuzzing`.

use prost::Message;

use super::message::{self, DataRequest};
use super::parameters::Parameters;
use super::{content, frames};

/// Reads a request as JSON, and writes its message as a response.
pub fn request_json(json: &[u8]) {
    let _ = message::is_request(json);
    if let Ok(request) = message::request_from_json(json) {
        read(&request);
    }
}

/// Reads a request as protobuf, and writes its message as a response. The message keeps its
/// length when it is encoded and decoded again.
pub fn request_protobuf(bytes: &[u8]) {
    let Ok(request) = DataRequest::decode(bytes) else {
        return;
    };
    read(&request);
    let encoded = request.encode_to_vec();
    let decoded = DataRequest::decode(encoded.as_slice());
    assert_eq!(
        decoded.map(|again| again.encoded_len()),
        Ok(encoded.len()),
        "a message changes its length"
    );
}

/// Follows the frames of a WebSocket connection that arrive in pieces of `piece` bytes, for
/// messages of at most `limit` bytes. Returns the lengths of the messages that ended, and
/// whether the connection was refused.
pub fn websocket_frames(bytes: &[u8], piece: usize, limit: usize) -> (Vec<usize>, bool) {
    frames::follow_all(bytes, piece, limit)
}

/// Reads a request as every call does, up to the point where the engine gets it.
fn read(request: &DataRequest) {
    let _ = Parameters::read(request.parameters.as_ref());
    for document in request.documents() {
        let _ = content::input_of(document);
    }
    let _ = message::response_to_json(request);
}
