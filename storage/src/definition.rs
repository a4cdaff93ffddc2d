//! What a collection is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{CollectionName, StorageError, VectorIndex};

/// The longest vector a collection may have.
///
/// sled moves a tree's leaf (up to 17 values) out of its log into a file that it never syncs when
/// the leaf outgrows a quarter of a segment; see `layout`.
pub const MAX_DIM: usize = 8192;

/// The most passages that a text may be stored by.
pub const MAX_PASSAGES: usize = 1000;

/// A collection's definition, fixed when it is created. Later fields come with a serde default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CollectionDefinition {
    pub name: CollectionName,
    /// The name of the model whose vectors the collection holds.
    pub model: String,
    /// A digest of that model's files, so that a model of the same name with other weights is
    /// told apart. Empty where it is not known.
    #[serde(default)]
    pub model_fingerprint: String,
    /// The length of every vector in it, 1 to [`MAX_DIM`].
    pub dim: usize,
    /// The metadata's declared fields by their path, in which dots reach inside objects.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldDefinition>,
    /// The name of the analyzer that reads texts and undeclared metadata; the usual one where it
    /// is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analyzer: Option<String>,
    /// How they are indexed.
    #[serde(default)]
    pub index: VectorIndex,
    /// Unix milliseconds.
    pub created_at: u64,
}

/// What is declared of a field. Later members come with a serde default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldDefinition {
    #[serde(rename = "type")]
    pub kind: FieldKind,
    /// The name of the analyzer that reads its words; the collection's where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analyzer: Option<String>,
    /// What a match of words in it is multiplied with; 1 where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boost: Option<f32>,
}

/// What a field's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    Integer,
    Number,
    String,
    Boolean,
    Date,
    Geo,
}

impl CollectionDefinition {
    /// A definition created now.
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

    /// The same, for the weights with this digest.
    pub fn with_model_fingerprint(mut self, fingerprint: String) -> Self {
        self.model_fingerprint = fingerprint;
        self
    }

    /// The same, with these declared fields.
    pub fn with_fields(mut self, fields: BTreeMap<String, FieldDefinition>) -> Self {
        self.fields = fields;
        self
    }

    /// The same, with texts read by this analyzer.
    pub fn with_analyzer(mut self, analyzer: Option<String>) -> Self {
        self.analyzer = analyzer;
        self
    }

    /// The same, with its vectors indexed so.
    pub fn with_index(mut self, index: VectorIndex) -> Self {
        self.index = index;
        self
    }

    /// Whether both define the same collection, whenever they were made.
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
