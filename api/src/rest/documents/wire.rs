//! A document's JSON in requests and responses.

use clipdb_engine::{
    CollectionName, Document, DocumentId, Draft, EngineError, ImageSource, Incoming, VectorKind,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::http::base_path::BasePath;
use crate::http::body;
use crate::http::data_uri::decode_base64;
use crate::http::error::ApiError;
use crate::http::exact_json::{UniqueMap, check_whole_numbers};
use crate::rest::documents::loose;
use crate::rest::multipart::Files;
use crate::rest::vector::VectorBody;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::rest) struct DocumentBody {
    pub id: Option<String>,
    text: Option<String>,
    image: Option<ImageBody>,
    vectors: Option<VectorsBody>,
    #[serde(default)]
    metadata: Option<UniqueMap>,
}

/// Vectors that replace the model's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VectorsBody {
    image: Option<VectorBody>,
    text: Option<VectorBody>,
}

/// Exactly one of the fields refers to the image.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::rest) struct ImageBody {
    pub base64: Option<String>,
    pub url: Option<String>,
    pub file: Option<String>,
    /// A stored document's image; in searches only.
    pub id: Option<String>,
}

impl DocumentBody {
    /// Checks the document; an image named by `file` is one of `files`.
    pub(in crate::rest) fn into_draft(self, files: &mut Files) -> Result<Draft, ApiError> {
        let id = self.id.map(|id| id.parse::<DocumentId>()).transpose()?;
        let image = match self.image {
            None => None,
            Some(image) if image.id.is_some() => {
                return Err(ApiError::UnknownField(
                    "unknown field `id` in 'image', expected one of `base64`, `url`, `file`"
                        .to_owned(),
                ));
            }
            Some(image) => Some(image.into_source(files)?),
        };
        Ok(Draft {
            id,
            text: self.text,
            image,
            vectors: self.vectors.map_or_else(Vec::new, VectorsBody::into_list),
            metadata: self.metadata.unwrap_or_default().0,
        })
    }
}

impl VectorsBody {
    fn into_list(self) -> Vec<(VectorKind, Vec<f32>)> {
        let image = self.image.map(|vector| (VectorKind::Image, vector.0));
        let text = self.text.map(|vector| (VectorKind::Text, vector.0));
        image.into_iter().chain(text).collect()
    }
}

impl ImageBody {
    /// The image; one named by `file` is one of `files`.
    pub(in crate::rest) fn into_source(self, files: &mut Files) -> Result<ImageSource, ApiError> {
        match (self.base64, self.url, self.file) {
            (Some(base64), None, None) => decode_base64(&base64).map(ImageSource::Bytes),
            (None, Some(url), None) => Ok(ImageSource::Url(url)),
            (None, None, Some(name)) => files
                .take(&name)
                .map(ImageSource::Bytes)
                .ok_or(ApiError::MissingPart(name)),
            _ => Err(ApiError::InvalidField(
                "an image must have exactly one of 'base64', 'url' and 'file'".to_owned(),
            )),
        }
    }
}

/// Parses one document. A document that is refused keeps its id, and takes the files that it
/// names: they are not documents of their own.
pub(super) fn incoming(json: &[u8], files: &mut Files) -> Incoming {
    let mut id = None;
    let draft = body::parse::<DocumentBody>(json).and_then(|document| {
        id.clone_from(&document.id);
        check_whole_numbers(json)?;
        document.into_draft(files)
    });
    if draft.is_err() {
        let loose = loose::scan(json);
        id = id.or(loose.id);
        for name in loose.files {
            files.take(&name);
        }
    }
    Incoming {
        id,
        draft: draft.map_err(EngineError::from),
        share: None,
    }
}

/// A failure that is not the fault of one document.
pub(super) fn failed(error: ApiError) -> Incoming {
    Incoming {
        id: None,
        draft: Err(error.into()),
        share: None,
    }
}

#[derive(Serialize)]
pub(in crate::rest) struct DocumentAnswer {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The URL path of the stored image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_info: Option<ImageInfo>,
    pub metadata: Map<String, Value>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    created_at: u64,
    updated_at: u64,
}

#[derive(Serialize)]
struct ImageInfo {
    media_type: String,
    width: u32,
    height: u32,
    bytes: u64,
}

impl DocumentAnswer {
    pub(in crate::rest) fn new(
        base: &BasePath,
        collection: &CollectionName,
        document: Document,
    ) -> Self {
        let image = document
            .image
            .as_ref()
            .map(|_| format!("{base}{}", image_path(collection, &document.id)));
        Self {
            id: document.id.to_string(),
            text: document.text,
            image,
            image_info: document.image.map(|image| ImageInfo {
                media_type: image.media_type,
                width: image.width,
                height: image.height,
                bytes: image.bytes,
            }),
            metadata: document.metadata,
            truncated: document.text_truncated,
            created_at: document.created_at,
            updated_at: document.updated_at,
        }
    }
}

/// `/collections/{name}/documents/{id}/image`, the id percent-encoded.
pub(in crate::rest) fn image_path(collection: &CollectionName, id: &DocumentId) -> String {
    let mut encoded = String::with_capacity(id.as_str().len());
    for byte in id.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("/collections/{collection}/documents/{encoded}/image")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(json: &str) -> Result<Draft, ApiError> {
        crate::http::body::parse::<DocumentBody>(json.as_bytes())?.into_draft(&mut Files::default())
    }

    #[test]
    fn an_unknown_field_is_named() {
        let error = draft(r#"{"txt": "a"}"#).unwrap_err();
        assert!(
            matches!(&error, ApiError::UnknownField(text) if text.contains("txt")),
            "{error}"
        );
    }

    #[test]
    fn an_image_has_exactly_one_source() {
        assert!(matches!(
            draft(r#"{"image": {}}"#),
            Err(ApiError::InvalidField(_))
        ));
        assert!(matches!(
            draft(r#"{"image": {"base64": "", "file": "a"}}"#),
            Err(ApiError::InvalidField(_))
        ));
        assert!(matches!(
            draft(r#"{"image": {"url": "http://x/"}}"#).map(|draft| draft.image),
            Ok(Some(ImageSource::Url(url))) if url == "http://x/"
        ));
        assert!(matches!(
            draft(r#"{"image": {"file": "a"}}"#),
            Err(ApiError::MissingPart(_))
        ));
    }

    #[test]
    fn ids_are_encoded_in_paths() {
        let id: DocumentId = "a b/ç".parse().unwrap();
        assert_eq!(
            image_path(&CollectionName::default(), &id),
            "/collections/default/documents/a%20b%2F%C3%A7/image"
        );
    }
}
