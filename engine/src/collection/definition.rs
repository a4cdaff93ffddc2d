//! What a collection is asked to be, and whether one that exists is that.

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

/// What a match in a field may be multiplied with.
const BOOSTS: RangeInclusive<f32> = 0.01..=100.0;

/// The declared fields of a collection by their path.
pub type FieldDefinitions = BTreeMap<String, FieldDefinition>;

/// The model of a collection that has none: its documents and queries bring their vectors.
pub const NO_MODEL: &str = "none";

/// A collection as a client asks for it.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The default model where none is named.
    pub model: Option<String>,
    /// Of texts and undeclared metadata; English where none is named.
    pub analyzer: Option<String>,
    /// Needed where there is no model, which would say it.
    pub dim: Option<usize>,
    /// How vectors are indexed; by their number where it is not said.
    pub index: Option<VectorIndex>,
    pub fields: FieldDefinitions,
}

impl Wanted {
    /// Whether nothing is asked for, as by a first document.
    pub(crate) fn is_anything(&self) -> bool {
        self.model.is_none()
            && self.dim.is_none()
            && self.analyzer.is_none()
            && self.index.is_none()
            && self.fields.is_empty()
    }

    /// Whether its fields can be read as they are declared.
    fn check(&self) -> Result<(), EngineError> {
        for (path, field) in &self.fields {
            if field.kind != FieldKind::String
                && (field.analyzer.is_some() || field.boost.is_some())
            {
                return Err(EngineError::InvalidField(format!(
                    "the field '{path}' has an 'analyzer' or a 'boost', which only fields of the type 'string' have"
                )));
            }
            if let Some(boost) = field.boost
                && !BOOSTS.contains(&boost)
            {
                return Err(EngineError::InvalidField(format!(
                    "the 'boost' of the field '{path}' is {boost}; it goes from {} to {}",
                    BOOSTS.start(),
                    BOOSTS.end()
                )));
            }
        }
        text_config(self.analyzer.as_deref(), &self.fields)
            .map(drop)
            .map_err(|error| EngineError::InvalidField(error.to_string()))
    }

    /// The definition that this comes to, checked.
    pub(crate) fn define(
        self,
        name: CollectionName,
        models: &Models,
    ) -> Result<CollectionDefinition, EngineError> {
        self.check()?;
        let definition = if self.model.as_deref() == Some(NO_MODEL) {
            let dim = self.dim.ok_or_else(|| {
                EngineError::InvalidField(
                    "a collection with 'model': \"none\" needs 'dim', the length of its vectors"
                        .to_owned(),
                )
            })?;
            CollectionDefinition::new(name, NO_MODEL, dim)
        } else {
            let card = models.chosen(self.model.as_deref())?.card();
            if let Some(dim) = self.dim.filter(|dim| *dim != card.dim) {
                return Err(EngineError::InvalidField(format!(
                    "'dim' is {dim}; the model '{}' gives vectors of {}",
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

/// Refuses where an existing collection is not the wanted one. Other weights of the same
/// model are told when they are used.
pub(crate) fn check_same(
    existing: &CollectionDefinition,
    wanted: &CollectionDefinition,
) -> Result<(), EngineError> {
    let differs = |existing_in_words: String, wanted_in_words: String| {
        Err(EngineError::CollectionDiffers {
            name: existing.name.clone(),
            existing: existing_in_words,
            wanted: wanted_in_words,
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
    let (there, asked) = (
        analyzer_name(&existing.analyzer),
        analyzer_name(&wanted.analyzer),
    );
    if there != asked {
        return differs(format!("the analyzer '{there}'"), format!("'{asked}'"));
    }
    if existing.fields != wanted.fields {
        return differs(described(&existing.fields), described(&wanted.fields));
    }
    Ok(())
}

/// Refuses a definition from a snapshot that a client could not have asked for: one that clipdb did
/// not write, or one of a newer clipdb.
pub(crate) fn check_restorable(definition: &CollectionDefinition) -> Result<(), EngineError> {
    let wanted = Wanted {
        analyzer: definition.analyzer.clone(),
        index: Some(definition.index),
        fields: definition.fields.clone(),
        ..Wanted::default()
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

/// What the collection's indexes are made for.
///
/// # Errors
/// An analyzer that this program does not know: a newer one made the collection.
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

/// How words are read: a field that says nothing of it is read as the rest.
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
        let own = FieldTextConfig {
            analyzer: match &field.analyzer {
                Some(name) => name.parse()?,
                None => analyzer,
            },
            boost: field.boost.unwrap_or(1.0),
        };
        text_config.fields.insert(path.clone(), own);
    }
    Ok(text_config)
}

/// The name of the analyzer that a definition means.
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
                described.push_str(&format!(" read as {analyzer}"));
            }
            if let Some(boost) = field.boost {
                described.push_str(&format!(" times {boost}"));
            }
            described
        })
        .collect();
    format!("the fields {}", fields.join(", "))
}
