//! The messages as JSON, as in `POST /post`.
//!
//! A request's keys are in snake case or camel case. A response's envelope is in camel case, its
//! documents in snake case; absent fields are null. Unknown keys are ignored, since clients of
//! other versions send more of them.

use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::clip_as_service::message::document::{Content, Document, DocumentArray, NamedScore};
use crate::clip_as_service::message::request::{
    Data, DataRequest, Exception, Header, Route, Status,
};
use crate::clip_as_service::message::tags::{struct_from_json, struct_to_json};
use crate::clip_as_service::message::tensor::NdArray;
use crate::http::body;
use crate::http::data_uri::decode_base64;
use crate::http::error::ApiError;

/// # Errors
/// It is not JSON, or a field has the wrong type.
pub fn request_from_json(json: &[u8]) -> Result<DataRequest, ApiError> {
    body::parse::<RequestBody>(json).map(RequestBody::into_message)
}

/// Whether `json` is a request of this protocol and not of the REST API, which shares some paths
/// with it: the first key decides.
pub fn is_request(json: &[u8]) -> bool {
    const KEYS: [&str; 8] = [
        "header",
        "parameters",
        "data",
        "exec_endpoint",
        "execEndpoint",
        "target_executor",
        "targetExecutor",
        "routes",
    ];
    let mut found = FirstKey(None);
    // Always fails: the visitor stops after the first key.
    let _ = serde_json::Deserializer::from_slice(json).deserialize_map(&mut found);
    found.0.is_some_and(|key| KEYS.contains(&key.as_str()))
}

struct FirstKey(Option<String>);

impl<'de> Visitor<'de> for &mut FirstKey {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0 = map.next_key()?;
        Ok(())
    }
}

/// # Errors
/// A tensor that the client sent, and that the response returns, can't be written as lists.
pub fn response_to_json(response: &DataRequest) -> Result<String, ApiError> {
    serde_json::to_string(&ResponseBody(response))
        .map_err(|error| ApiError::InvalidField(error.to_string()))
}

/// `StatusProto` of success: the response of `/dry_run`.
pub const SUCCESS: &str = r#"{"code":0,"description":"","exception":null}"#;

#[derive(Default, Deserialize)]
#[serde(default)]
struct RequestBody {
    header: Option<HeaderBody>,
    parameters: Option<Map<String, Value>>,
    data: Option<DataBody>,
    #[serde(alias = "execEndpoint")]
    exec_endpoint: Option<String>,
    #[serde(alias = "targetExecutor")]
    target_executor: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HeaderBody {
    #[serde(alias = "requestId")]
    request_id: Option<String>,
    #[serde(alias = "execEndpoint")]
    exec_endpoint: Option<String>,
    #[serde(alias = "targetExecutor")]
    target_executor: Option<String>,
}

/// A list of documents, or an object with the list as `docs`.
struct DataBody(Vec<DocumentBody>);

impl<'de> Deserialize<'de> for DataBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DataVisitor;
        impl<'de> Visitor<'de> for DataVisitor {
            type Value = DataBody;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a list of documents")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<DataBody, A::Error> {
                let mut documents = Vec::new();
                while let Some(document) = list.next_element()? {
                    documents.push(document);
                }
                Ok(DataBody(documents))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DataBody, A::Error> {
                let mut documents = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key == "docs" {
                        documents = map.next_value()?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(DataBody(documents.unwrap_or_default()))
            }
        }
        deserializer.deserialize_any(DataVisitor)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DocumentBody {
    id: Option<String>,
    parent_id: Option<String>,
    granularity: Option<u32>,
    adjacency: Option<u32>,
    blob: Option<Blob>,
    tensor: Option<NdArray>,
    mime_type: Option<String>,
    text: Option<String>,
    weight: Option<f32>,
    uri: Option<String>,
    tags: Option<Map<String, Value>>,
    offset: Option<f32>,
    location: Option<Vec<f32>>,
    embedding: Option<NdArray>,
    modality: Option<String>,
    evaluations: Option<HashMap<String, ScoreBody>>,
    scores: Option<HashMap<String, ScoreBody>>,
    chunks: Option<Vec<DocumentBody>>,
    matches: Option<Vec<DocumentBody>>,
}

/// Base64.
struct Blob(bytes::Bytes);

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        decode_base64(&text)
            .map(Blob)
            .map_err(serde::de::Error::custom)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ScoreBody {
    value: Option<f32>,
    op_name: Option<String>,
    description: Option<String>,
    ref_id: Option<String>,
}

impl RequestBody {
    fn into_message(self) -> DataRequest {
        let header = self.header.unwrap_or_default();
        let documents = self.data.map_or_else(Vec::new, |data| data.0);
        DataRequest {
            header: Some(Header {
                request_id: header.request_id.unwrap_or_default(),
                exec_endpoint: self.exec_endpoint.or(header.exec_endpoint),
                target_executor: self.target_executor.or(header.target_executor),
                ..Header::default()
            }),
            parameters: self.parameters.map(struct_from_json),
            routes: Vec::new(),
            data: Some(Data {
                docs: Some(DocumentArray {
                    docs: documents
                        .into_iter()
                        .map(DocumentBody::into_message)
                        .collect(),
                }),
                ..Data::default()
            }),
        }
    }
}

impl DocumentBody {
    fn into_message(self) -> Document {
        let content = content(self.text, self.blob, self.tensor);
        let id = self
            .id
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| uuid::Uuid::now_v7().simple().to_string());
        let granularity = self.granularity.unwrap_or_default();
        let adjacency = self.adjacency.unwrap_or_default();
        let nested = |documents: Option<Vec<DocumentBody>>| {
            let documents = documents.unwrap_or_default().into_iter();
            documents.map(DocumentBody::into_message)
        };
        // The depths that docarray sets if they are absent.
        let mut chunks: Vec<Document> = nested(self.chunks).collect();
        for chunk in &mut chunks {
            if chunk.granularity == 0 {
                chunk.granularity = granularity.saturating_add(1);
            }
            if chunk.parent_id.is_empty() {
                chunk.parent_id.clone_from(&id);
            }
        }
        let mut matches: Vec<Document> = nested(self.matches).collect();
        for found in &mut matches {
            if found.adjacency == 0 {
                found.adjacency = adjacency.saturating_add(1);
            }
        }
        let scores = |scores: Option<HashMap<String, ScoreBody>>| {
            scores
                .unwrap_or_default()
                .into_iter()
                .map(|(name, score)| (name, score.into_message()))
                .collect()
        };
        Document {
            id,
            content,
            granularity,
            adjacency,
            parent_id: self.parent_id.unwrap_or_default(),
            weight: self.weight.unwrap_or_default(),
            uri: self.uri.unwrap_or_default(),
            modality: self.modality.unwrap_or_default(),
            mime_type: self.mime_type.unwrap_or_default(),
            offset: self.offset.unwrap_or_default(),
            location: self.location.unwrap_or_default(),
            chunks,
            matches,
            embedding: self.embedding,
            tags: self.tags.map(struct_from_json),
            scores: scores(self.scores),
            evaluations: scores(self.evaluations),
            metadata: None,
        }
    }
}

/// The content that docarray would keep, where setting one clears the others: the tensor, else the
/// blob, else the text. Empty contents are ignored.
fn content(text: Option<String>, blob: Option<Blob>, tensor: Option<NdArray>) -> Option<Content> {
    let blob = blob.filter(|blob| !blob.0.is_empty());
    match (tensor, blob, text) {
        (Some(tensor), _, _) => Some(Content::Tensor(tensor)),
        (None, Some(blob), _) => Some(Content::Blob(blob.0)),
        (None, None, text) => text.map(Content::Text),
    }
}

impl ScoreBody {
    fn into_message(self) -> NamedScore {
        NamedScore {
            value: self.value.unwrap_or_default(),
            op_name: self.op_name.unwrap_or_default(),
            description: self.description.unwrap_or_default(),
            ref_id: self.ref_id.unwrap_or_default(),
        }
    }
}

/// `None` for the default of the type, which protobuf does not send.
fn given<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

fn text(value: &str) -> Option<&str> {
    given(value)
}

struct ResponseBody<'a>(&'a DataRequest);

impl Serialize for ResponseBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Envelope<'a> {
            header: HeaderAnswer<'a>,
            parameters: Map<String, Value>,
            routes: Vec<RouteAnswer<'a>>,
            data: Vec<DocumentAnswer<'a>>,
        }
        Envelope {
            header: HeaderAnswer::new(self.0.header.as_ref()),
            parameters: self
                .0
                .parameters
                .as_ref()
                .map_or_else(Map::new, struct_to_json),
            routes: self.0.routes.iter().map(RouteAnswer::new).collect(),
            data: self.0.documents().iter().map(DocumentAnswer).collect(),
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HeaderAnswer<'a> {
    request_id: &'a str,
    status: Option<StatusAnswer<'a>>,
    exec_endpoint: &'a str,
    target_executor: &'a str,
}

impl<'a> HeaderAnswer<'a> {
    fn new(header: Option<&'a Header>) -> Self {
        Self {
            request_id: header.map_or("", |header| &header.request_id),
            status: header
                .and_then(|header| header.status.as_ref())
                .map(StatusAnswer::new),
            exec_endpoint: header.map_or("", Header::exec_endpoint),
            target_executor: header.map_or("", Header::target_executor),
        }
    }
}

#[derive(Serialize)]
struct StatusAnswer<'a> {
    code: i32,
    description: &'a str,
    exception: Option<ExceptionAnswer<'a>>,
}

impl<'a> StatusAnswer<'a> {
    fn new(status: &'a Status) -> Self {
        Self {
            code: status.code,
            description: &status.description,
            exception: status.exception.as_ref().map(ExceptionAnswer::new),
        }
    }
}

#[derive(Serialize)]
struct ExceptionAnswer<'a> {
    name: &'a str,
    args: &'a [String],
    stacks: &'a [String],
    executor: &'a str,
}

impl<'a> ExceptionAnswer<'a> {
    fn new(exception: &'a Exception) -> Self {
        Self {
            name: &exception.name,
            args: &exception.args,
            stacks: &exception.stacks,
            executor: &exception.executor,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteAnswer<'a> {
    executor: &'a str,
    start_time: Option<String>,
    end_time: Option<String>,
    status: Option<StatusAnswer<'a>>,
}

impl<'a> RouteAnswer<'a> {
    fn new(route: &'a Route) -> Self {
        Self {
            executor: &route.executor,
            start_time: route.start_time.as_ref().map(ToString::to_string),
            end_time: route.end_time.as_ref().map(ToString::to_string),
            status: route.status.as_ref().map(StatusAnswer::new),
        }
    }
}

struct DocumentAnswer<'a>(&'a Document);

impl Serialize for DocumentAnswer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            id: &'a str,
            parent_id: Option<&'a str>,
            granularity: Option<u32>,
            adjacency: Option<u32>,
            blob: Option<String>,
            tensor: Option<&'a NdArray>,
            mime_type: Option<&'a str>,
            text: Option<&'a str>,
            weight: Option<f32>,
            uri: Option<&'a str>,
            tags: Option<Map<String, Value>>,
            offset: Option<f32>,
            location: Option<&'a [f32]>,
            embedding: Option<&'a NdArray>,
            modality: Option<&'a str>,
            evaluations: Option<Scores<'a>>,
            scores: Option<Scores<'a>>,
            chunks: Option<Vec<DocumentAnswer<'a>>>,
            matches: Option<Vec<DocumentAnswer<'a>>>,
        }
        let document = self.0;
        let (mut words, mut blob, mut tensor) = (None, None, None);
        match &document.content {
            Some(Content::Text(text)) => words = Some(text.as_str()),
            Some(Content::Blob(bytes)) => blob = Some(STANDARD.encode(bytes)),
            Some(Content::Tensor(array)) => tensor = Some(array),
            None => {}
        }
        Fields {
            id: &document.id,
            parent_id: text(&document.parent_id),
            granularity: given(document.granularity),
            adjacency: given(document.adjacency),
            blob,
            tensor,
            mime_type: text(&document.mime_type),
            text: words,
            weight: given(document.weight),
            uri: text(&document.uri),
            tags: document.tags.as_ref().map(struct_to_json),
            offset: given(document.offset),
            location: given(document.location.as_slice()),
            embedding: document.embedding.as_ref(),
            modality: text(&document.modality),
            evaluations: Scores::of(&document.evaluations),
            scores: Scores::of(&document.scores),
            chunks: answers(&document.chunks),
            matches: answers(&document.matches),
        }
        .serialize(serializer)
    }
}

fn answers(documents: &[Document]) -> Option<Vec<DocumentAnswer<'_>>> {
    (!documents.is_empty()).then(|| documents.iter().map(DocumentAnswer).collect())
}

struct Scores<'a>(&'a HashMap<String, NamedScore>);

impl<'a> Scores<'a> {
    fn of(scores: &'a HashMap<String, NamedScore>) -> Option<Self> {
        (!scores.is_empty()).then_some(Self(scores))
    }
}

impl Serialize for Scores<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Score<'a> {
            value: f32,
            op_name: Option<&'a str>,
            description: Option<&'a str>,
            ref_id: Option<&'a str>,
        }
        serializer.collect_map(self.0.iter().map(|(name, score)| {
            let score = Score {
                value: score.value,
                op_name: text(&score.op_name),
                description: text(&score.description),
                ref_id: text(&score.ref_id),
            };
            (name, score)
        }))
    }
}

#[cfg(test)]
mod tests;
