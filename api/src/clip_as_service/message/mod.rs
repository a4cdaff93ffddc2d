//! Jina's messages in protobuf and JSON, written by hand after Jina's descriptors, which avoids a
//! protobuf compiler.
//!
//! gRPC and WebSocket use the same bytes, HTTP uses JSON. Fields that clipdb does not use remain in
//! the message and are returned with it.

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
