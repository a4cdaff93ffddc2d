//! What these doors say: jina's protobuf messages, written by hand after its
//! descriptors (so that no protobuf compiler is needed), and the same in JSON.
//!
//! The bytes are the same on gRPC and WebSocket; HTTP speaks the JSON. Whatever a
//! client sends that clipdb has no use for stays in the message and goes back with it.

mod document;
mod json;
mod request;
mod tags;
mod tensor;

pub use document::{Content, Document, DocumentArray, NamedScore};
pub use json::{SUCCESS, is_request, request_from_json, response_to_json};
pub use request::{Data, DataRequest, Exception, Header, Info, Route, Status};
pub use tags::{struct_from_json, struct_to_json};
pub use tensor::NdArray;
