//! The definition of a collection.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::vector_index::MAX_DIM;
use crate::{CollectionName, StorageError, VectorIndex};

/// The maximum number of passages of a text.
pub const MAX_PASSAGES: usize = 1000;

/// The definition of a collection, which never changes after its creation. Fields added later have a
/// serde default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CollectionDefinition {
    /// The unique name of the collection.
    pub name: CollectionName,
    /// The name of the model whose vectors the collection stores.
    pub model: String,
    /// A digest of the files of that model, which distinguishes models of the same name with different
    /// weights. Empty if it is unknown.
    #[serde(default)]
    pub model_fingerprint: String,
    /// The number of dimensions of every vector, 1 to [`MAX_DIM`].
    pub dim: usize,
    /// The declared fields of the metadata by path; dots separate the names of nested objects.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldDefinition>,
    /// The analyzer of texts and undeclared metadata; `None` is the default analyzer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analyzer: Option<String>,
    /// How the vectors are indexed.
    #[serde(default)]
    pub index: VectorIndex,
    /// The time of its creation in Unix milliseconds.
    pub created_at: u64,
}

/// The declaration of a metadata field. Members added later have a serde default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldDefinition {
    /// The type of its values.
    #[serde(rename = "type")]
    pub kind: FieldKind,
    /// The analyzer of its text; `None` is the analyzer of the collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analyzer: Option<String>,
    /// The factor of the score of a keyword match in it; `None` is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boost: Option<f32>,
}

/// The type of the values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// A 64-bit integer.
    Integer,
    /// A floating point number.
    Number,
    /// A string.
    String,
    /// `true` or `false`.
    Boolean,
    /// A date or a time.
    Date,
    /// A point on the earth.
    Geo,
}

impl CollectionDefinition {
    /// A definition with the current time and default settings.
    pub fn new(name: CollectionName, model: impl Into<String>, dim: usize) -> Self {
        CollectionDefinition {
            name,
            model: model.into(),
            model_fingerprint: String::new(),
            dim,
            fields: BTreeMap::new(),
            analyzer: None,
            index: VectorIndex::default(),
            created_at: crate::clock::unix_ms(),
        }
    }

    /// Sets the digest of the model's files.
    pub fn with_model_fingerprint(mut self, fingerprint: String) -> Self {
        self.model_fingerprint = fingerprint;
        self
    }

    /// Sets the declared fields.
    pub fn with_fields(mut self, fields: BTreeMap<String, FieldDefinition>) -> Self {
        self.fields = fields;
        self
    }

    /// Sets the analyzer of texts.
    pub fn with_analyzer(mut self, analyzer: Option<String>) -> Self {
        self.analyzer = analyzer;
        self
    }

    /// Sets the vector index.
    pub fn with_index(mut self, index: VectorIndex) -> Self {
        self.index = index;
        self
    }

    /// Whether both are equal, apart from the time of creation.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        *self
            == CollectionDefinition {
                created_at: self.created_at,
                ..other.clone()
            }
    }

    pub(crate) fn check(&self) -> Result<(), StorageError> {
        if (1..=MAX_DIM).contains(&self.dim) {
            Ok(())
        } else {
            Err(StorageError::InvalidDim {
                name: self.name.clone(),
                dim: self.dim,
            })
        }
    }
}
