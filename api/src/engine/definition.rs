//! What a collection is asked to be, and whether one that exists is that.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use clipdb_index::{
    Analyzer, Configuration, FieldType, FieldWording, Fields, UnknownAnalyzer, VectorSettings,
    Wording,
};
use clipdb_storage::{CollectionDefinition, CollectionName, FieldDefinition, FieldKind};

use crate::error::ApiError;

/// What a match in a field may be multiplied with.
const BOOSTS: RangeInclusive<f32> = 0.01..=100.0;

/// The declared fields of a collection by their path.
pub type FieldDefinitions = BTreeMap<String, FieldDefinition>;

/// A collection as a client asks for it.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The default model where none is named.
    pub model: Option<String>,
    /// Of texts and undeclared metadata; English where none is named.
    pub analyzer: Option<String>,
    pub fields: FieldDefinitions,
}

impl Wanted {
    /// Whether nothing is asked for, as by a first document.
    pub(super) fn is_anything(&self) -> bool {
        self.model.is_none() && self.analyzer.is_none() && self.fields.is_empty()
    }

    /// Whether its fields can be read as they are declared.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        for (path, field) in &self.fields {
            if field.kind != FieldKind::String
                && (field.analyzer.is_some() || field.boost.is_some())
            {
                return Err(ApiError::InvalidField(format!(
                    "the field '{path}' has an 'analyzer' or a 'boost', which only fields of the type 'string' have"
                )));
            }
            if let Some(boost) = field.boost
                && !BOOSTS.contains(&boost)
            {
                return Err(ApiError::InvalidField(format!(
                    "the 'boost' of the field '{path}' is {boost}; it goes from {} to {}",
                    BOOSTS.start(),
                    BOOSTS.end()
                )));
            }
        }
        wording(self.analyzer.as_deref(), &self.fields)
            .map(drop)
            .map_err(|error| ApiError::InvalidField(error.to_string()))
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
        let (there, wanted) = (
            analyzer_name(&existing.analyzer),
            analyzer_name(&self.analyzer),
        );
        if there != wanted {
            return Err(ApiError::CollectionDiffers {
                name: existing.name.clone(),
                existing: format!("the analyzer '{there}'"),
                wanted: format!("'{wanted}'"),
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
///
/// # Errors
/// An analyzer that this program does not know: a newer one made the collection.
pub(super) fn index_configuration(
    definition: &CollectionDefinition,
) -> Result<Configuration, ApiError> {
    let wording = wording(definition.analyzer.as_deref(), &definition.fields).map_err(|error| {
        ApiError::UnreadableDefinition {
            name: definition.name.clone(),
            reason: error.to_string(),
        }
    })?;
    Ok(Configuration {
        dim: definition.dim,
        vectors: VectorSettings::default(),
        wording,
        fields: declared(&definition.fields),
    })
}

/// How words are read: a field that says nothing of it is read as the rest.
fn wording(analyzer: Option<&str>, fields: &FieldDefinitions) -> Result<Wording, UnknownAnalyzer> {
    let analyzer: Analyzer = analyzer.map_or(Ok(Analyzer::default()), str::parse)?;
    let mut wording = Wording {
        analyzer,
        ..Wording::default()
    };
    for (path, field) in fields {
        if field.analyzer.is_none() && field.boost.is_none() {
            continue;
        }
        let own = FieldWording {
            analyzer: match &field.analyzer {
                Some(name) => name.parse()?,
                None => analyzer,
            },
            boost: field.boost.unwrap_or(1.0),
        };
        wording.fields.insert(path.clone(), own);
    }
    Ok(wording)
}

/// The name of the analyzer that a definition means.
pub(super) fn analyzer_name(named: &Option<String>) -> &str {
    named
        .as_deref()
        .unwrap_or_else(|| Analyzer::default().name())
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
