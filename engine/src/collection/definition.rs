//! A requested collection definition, its validation, and its comparison with an existing one.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use clipdb_index::{
    Analyzer, Configuration, FieldTextConfig, FieldType, Fields, TextConfig, UnknownAnalyzer,
};
use clipdb_storage::{
    CollectionDefinition, CollectionName, FieldDefinition, FieldKind, StorageError, VectorIndex,
};

use crate::collection::vector_index;
use crate::error::EngineError;
use crate::models::Models;

/// The boosts that a field may have; the scores of its matches are multiplied by them.
const BOOSTS: RangeInclusive<f32> = 0.01..=100.0;

/// The declared fields of a collection, by path.
pub type FieldDefinitions = BTreeMap<String, FieldDefinition>;

/// The `model` of a collection without one: its documents and queries bring their vectors.
pub const NO_MODEL: &str = "none";

/// The definition of a collection that a client requests.
#[derive(Debug, Clone, Default)]
pub struct CollectionSpec {
    /// The model's name; `None`: the default model.
    pub model: Option<String>,
    /// The analyzer of texts and of undeclared metadata; `None`: English.
    pub analyzer: Option<String>,
    /// The dimensions of its vectors; `None`: those of the model. Required without a model.
    pub dim: Option<usize>,
    /// How vectors are indexed; `None`: chosen by their number.
    pub index: Option<VectorIndex>,
    /// The declared metadata fields.
    pub fields: FieldDefinitions,
}

impl CollectionSpec {
    /// Whether any definition would do, as for the first document of the default collection.
    pub(crate) fn is_anything(&self) -> bool {
        self.model.is_none()
            && self.dim.is_none()
            && self.analyzer.is_none()
            && self.index.is_none()
            && self.fields.is_empty()
    }

    /// Validates the analyzers and boosts.
    fn check(&self) -> Result<(), EngineError> {
        for (path, field) in &self.fields {
            if field.kind != FieldKind::String
                && (field.analyzer.is_some() || field.boost.is_some())
            {
                return Err(EngineError::InvalidField(format!(
                    "the field '{path}' has an 'analyzer' or a 'boost'; only fields of the type 'string' may have one"
                )));
            }
            if let Some(boost) = field.boost
                && !BOOSTS.contains(&boost)
            {
                return Err(EngineError::InvalidField(format!(
                    "the 'boost' of the field '{path}' is {boost}; it must be between {} and {}",
                    BOOSTS.start(),
                    BOOSTS.end()
                )));
            }
        }
        text_config(self.analyzer.as_deref(), &self.fields)
            .map(drop)
            .map_err(|error| EngineError::InvalidField(error.to_string()))
    }

    /// Validates the request and resolves its defaults.
    pub(crate) fn define(
        self,
        name: CollectionName,
        models: &Models,
    ) -> Result<CollectionDefinition, EngineError> {
        self.check()?;
        let definition = if self.model.as_deref() == Some(NO_MODEL) {
            let dim = self.dim.ok_or_else(|| {
                EngineError::InvalidField(
                    "a collection with 'model': \"none\" needs 'dim', the number of dimensions of its vectors"
                        .to_owned(),
                )
            })?;
            CollectionDefinition::new(name, NO_MODEL, dim)
        } else {
            let card = models.chosen(self.model.as_deref())?.card();
            if let Some(dim) = self.dim.filter(|dim| *dim != card.dim) {
                return Err(EngineError::InvalidField(format!(
                    "'dim' is {dim}; the model '{}' gives vectors of {} dimensions",
                    card.name, card.dim
                )));
            }
            CollectionDefinition::new(name, card.name.clone(), card.dim)
                .with_model_fingerprint(card.fingerprint.clone())
        };
        let index = self.index.unwrap_or_default();
        vector_index::check(&index, definition.dim)?;
        Ok(definition
            .with_analyzer(self.analyzer)
            .with_index(index)
            .with_fields(self.fields))
    }
}

/// Fails if an existing collection's definition differs from the requested one. Other weights of
/// the same model are reported when the model is used.
pub(crate) fn check_same(
    existing: &CollectionDefinition,
    wanted: &CollectionDefinition,
) -> Result<(), EngineError> {
    let differs = |existing_part: String, wanted_part: String| {
        Err(EngineError::CollectionDiffers {
            name: existing.name.clone(),
            existing: existing_part,
            wanted: wanted_part,
        })
    };
    if (&existing.model, existing.dim) != (&wanted.model, wanted.dim) {
        let described =
            |of: &CollectionDefinition| format!("model '{}', dimension {}", of.model, of.dim);
        return differs(described(existing), described(wanted));
    }
    if existing.index != wanted.index {
        let described = |index| format!("the index {}", serde_json::json!(index));
        return differs(described(existing.index), described(wanted.index));
    }
    let (existing_name, wanted_name) = (
        analyzer_name(&existing.analyzer),
        analyzer_name(&wanted.analyzer),
    );
    if existing_name != wanted_name {
        return differs(
            format!("the analyzer '{existing_name}'"),
            format!("'{wanted_name}'"),
        );
    }
    if existing.fields != wanted.fields {
        return differs(described(&existing.fields), described(&wanted.fields));
    }
    Ok(())
}

/// Fails if a client could not have requested the definition of a snapshot: clipdb did not write
/// it, or a newer version did.
pub(crate) fn check_restorable(definition: &CollectionDefinition) -> Result<(), EngineError> {
    let wanted = CollectionSpec {
        analyzer: definition.analyzer.clone(),
        index: Some(definition.index),
        fields: definition.fields.clone(),
        ..CollectionSpec::default()
    };
    wanted
        .check()
        .and_then(|()| vector_index::check(&definition.index, definition.dim))
        .map_err(|error| {
            EngineError::Storage(StorageError::BadSnapshot {
                reason: error.to_string(),
            })
        })
}

/// The configuration of the collection's indexes.
///
/// # Errors
/// The definition names an analyzer that only a newer version of clipdb knows.
pub(crate) fn index_configuration(
    definition: &CollectionDefinition,
) -> Result<Configuration, EngineError> {
    let text_config =
        text_config(definition.analyzer.as_deref(), &definition.fields).map_err(|error| {
            EngineError::UnreadableDefinition {
                name: definition.name.clone(),
                reason: error.to_string(),
            }
        })?;
    Ok(Configuration {
        dim: definition.dim,
        vectors: vector_index::settings(&definition.index),
        text_config,
        fields: declared(&definition.fields),
    })
}

/// The analyzer and boost of each field; a field that declares neither uses the collection's
/// analyzer.
fn text_config(
    analyzer: Option<&str>,
    fields: &FieldDefinitions,
) -> Result<TextConfig, UnknownAnalyzer> {
    let analyzer: Analyzer = analyzer.map_or(Ok(Analyzer::default()), str::parse)?;
    let mut text_config = TextConfig {
        analyzer,
        ..TextConfig::default()
    };
    for (path, field) in fields {
        if field.analyzer.is_none() && field.boost.is_none() {
            continue;
        }
        let field_wording = FieldTextConfig {
            analyzer: match &field.analyzer {
                Some(name) => name.parse()?,
                None => analyzer,
            },
            boost: field.boost.unwrap_or(1.0),
        };
        text_config.fields.insert(path.clone(), field_wording);
    }
    Ok(text_config)
}

/// The name of the analyzer that a definition refers to, explicitly or by default.
pub(crate) fn analyzer_name(named: &Option<String>) -> &str {
    named
        .as_deref()
        .unwrap_or_else(|| Analyzer::default().name())
}

pub(crate) fn declared(fields: &FieldDefinitions) -> Fields {
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
        .map(|(path, field)| {
            let mut described = format!("'{path}' {}", field_type(field.kind).name());
            if let Some(analyzer) = &field.analyzer {
                described.push_str(&format!(" with the analyzer '{analyzer}'"));
            }
            if let Some(boost) = field.boost {
                described.push_str(&format!(" with the boost {boost}"));
            }
            described
        })
        .collect();
    format!("the fields {}", fields.join(", "))
}
