//! What a collection is asked to be, and whether one that exists is that.

use std::collections::BTreeMap;

use clipdb_index::{Configuration, FieldType, Fields, VectorSettings, Wording};
use clipdb_storage::{CollectionDefinition, CollectionName, FieldDefinition, FieldKind};

use crate::error::ApiError;

/// The declared fields of a collection by their path.
pub type FieldDefinitions = BTreeMap<String, FieldDefinition>;

/// A collection as a client asks for it.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The default model where none is named.
    pub model: Option<String>,
    pub fields: FieldDefinitions,
}

impl Wanted {
    /// Whether nothing is asked for, as by a first document.
    pub(super) fn is_anything(&self) -> bool {
        self.model.is_none() && self.fields.is_empty()
    }

    /// Whether an existing collection is the wanted one; `model` is what the wanted name
    /// leads to.
    pub(super) fn check_existing(
        &self,
        existing: &CollectionDefinition,
        model: &str,
    ) -> Result<(), ApiError> {
        if self.is_anything() && existing.name == CollectionName::default() {
            return Ok(());
        }
        if existing.model != model {
            return Err(ApiError::CollectionDiffers {
                name: existing.name.clone(),
                existing: format!("model '{}', dimension {}", existing.model, existing.dim),
                wanted: format!("model '{model}'"),
            });
        }
        if existing.fields != self.fields {
            return Err(ApiError::CollectionDiffers {
                name: existing.name.clone(),
                existing: described(&existing.fields),
                wanted: described(&self.fields),
            });
        }
        Ok(())
    }
}

/// What the collection's indexes are made for.
pub(super) fn index_configuration(definition: &CollectionDefinition) -> Configuration {
    Configuration {
        dim: definition.dim,
        vectors: VectorSettings::default(),
        wording: Wording::default(),
        fields: declared(&definition.fields),
    }
}

pub(super) fn declared(fields: &FieldDefinitions) -> Fields {
    fields
        .iter()
        .map(|(path, field)| (path.clone(), field_type(field.kind)))
        .collect()
}

fn field_type(kind: FieldKind) -> FieldType {
    match kind {
        FieldKind::Integer => FieldType::Integer,
        FieldKind::Number => FieldType::Number,
        FieldKind::String => FieldType::String,
        FieldKind::Boolean => FieldType::Boolean,
        FieldKind::Date => FieldType::Date,
        FieldKind::Geo => FieldType::Geo,
    }
}

fn described(fields: &FieldDefinitions) -> String {
    if fields.is_empty() {
        return "no declared fields".to_owned();
    }
    let fields: Vec<String> = fields
        .iter()
        .map(|(path, field)| format!("'{path}' {}", field_type(field.kind).name()))
        .collect();
    format!("the fields {}", fields.join(", "))
}
