//! Package `jina`: the envelope of requests and responses.

use std::collections::HashMap;

use bytes::Bytes;
use prost_types::{Struct, Timestamp};

use crate::clip_as_service::message::document::{Document, DocumentArray};

#[derive(Clone, PartialEq, prost::Message)]
pub struct DataRequest {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(message, optional, tag = "2")]
    pub parameters: Option<Struct>,
    #[prost(message, repeated, tag = "3")]
    pub routes: Vec<Route>,
    #[prost(message, optional, tag = "4")]
    pub data: Option<Data>,
}

impl DataRequest {
    pub fn documents(&self) -> &[Document] {
        self.data
            .as_ref()
            .and_then(|data| data.docs.as_ref())
            .map_or(&[], |array| &array.docs)
    }

    /// Whether the response reports a failure.
    pub fn is_failure(&self) -> bool {
        let status = self
            .header
            .as_ref()
            .and_then(|header| header.status.as_ref());
        status.is_some_and(|status| status.code == Status::ERROR)
    }
}

/// A oneof on the wire; clients send the first variant.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Data {
    #[prost(message, optional, tag = "1")]
    pub docs: Option<DocumentArray>,
    /// A serialised array in docarray's own format.
    #[prost(bytes = "bytes", tag = "2")]
    pub docs_bytes: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Header {
    /// WebSocket clients match responses to requests by it.
    #[prost(string, tag = "1")]
    pub request_id: String,
    #[prost(message, optional, tag = "2")]
    pub status: Option<Status>,
    #[prost(string, optional, tag = "3")]
    pub exec_endpoint: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub target_executor: Option<String>,
    #[prost(uint32, optional, tag = "5")]
    pub timeout: Option<u32>,
}

/// The outcome of a request; a response without a status succeeded.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub description: String,
    #[prost(message, optional, tag = "3")]
    pub exception: Option<Exception>,
}

impl Status {
    /// `StatusProto.StatusCode.ERROR`.
    pub const ERROR: i32 = 1;
}

/// `JinaInfoProto`: the server's version.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Info {
    #[prost(map = "string, string", tag = "1")]
    pub versions: HashMap<String, String>,
}

impl Info {
    pub fn of_this_server() -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self {
            versions: [("clipdb".to_owned(), version)].into(),
        }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Exception {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, repeated, tag = "2")]
    pub args: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub stacks: Vec<String>,
    #[prost(string, tag = "4")]
    pub executor: String,
}

/// An executor of a request, and its time.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Route {
    #[prost(string, tag = "1")]
    pub executor: String,
    #[prost(message, optional, tag = "2")]
    pub start_time: Option<Timestamp>,
    #[prost(message, optional, tag = "3")]
    pub end_time: Option<Timestamp>,
    #[prost(message, optional, tag = "4")]
    pub status: Option<Status>,
}
