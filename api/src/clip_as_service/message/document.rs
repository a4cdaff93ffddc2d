//! Package `docarray`: documents.

use std::collections::HashMap;

use bytes::Bytes;
use prost_types::Struct;

use crate::clip_as_service::message::tensor::NdArray;

#[derive(Clone, PartialEq, prost::Message)]
pub struct DocumentArray {
    #[prost(message, repeated, tag = "1")]
    pub docs: Vec<Document>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Document {
    /// Clients match a response's documents by id, not by position.
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(oneof = "Content", tags = "2, 3, 4")]
    pub content: Option<Content>,
    /// Its depth in chunks.
    #[prost(uint32, tag = "5")]
    pub granularity: u32,
    /// Its depth in matches.
    #[prost(uint32, tag = "6")]
    pub adjacency: u32,
    #[prost(string, tag = "7")]
    pub parent_id: String,
    #[prost(float, tag = "8")]
    pub weight: f32,
    #[prost(string, tag = "9")]
    pub uri: String,
    #[prost(string, tag = "10")]
    pub modality: String,
    #[prost(string, tag = "11")]
    pub mime_type: String,
    #[prost(float, tag = "12")]
    pub offset: f32,
    #[prost(float, repeated, tag = "13")]
    pub location: Vec<f32>,
    #[prost(message, repeated, tag = "14")]
    pub chunks: Vec<Document>,
    #[prost(message, repeated, tag = "15")]
    pub matches: Vec<Document>,
    #[prost(message, optional, tag = "16")]
    pub embedding: Option<NdArray>,
    #[prost(message, optional, tag = "17")]
    pub tags: Option<Struct>,
    #[prost(map = "string, message", tag = "18")]
    pub scores: HashMap<String, NamedScore>,
    #[prost(map = "string, message", tag = "19")]
    pub evaluations: HashMap<String, NamedScore>,
    #[prost(message, optional, tag = "20")]
    pub metadata: Option<Struct>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Content {
    #[prost(bytes = "bytes", tag = "2")]
    Blob(Bytes),
    #[prost(message, tag = "3")]
    Tensor(NdArray),
    #[prost(string, tag = "4")]
    Text(String),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct NamedScore {
    #[prost(float, tag = "1")]
    pub value: f32,
    #[prost(string, tag = "2")]
    pub op_name: String,
    #[prost(string, tag = "3")]
    pub description: String,
    #[prost(string, tag = "4")]
    pub ref_id: String,
}

impl NamedScore {
    pub fn new(value: f32, op_name: &str) -> Self {
        Self {
            value,
            op_name: op_name.to_owned(),
            ..Self::default()
        }
    }
}
