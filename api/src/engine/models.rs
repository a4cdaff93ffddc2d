//! The loaded models. Each collection names the one whose vectors it holds.

use std::sync::Arc;

use clipdb_embed::Encoder;
use clipdb_storage::CollectionDefinition;

use crate::error::ApiError;

/// At least one encoder; the first is the default.
#[derive(Clone)]
pub struct Models(Arc<[Encoder]>);

impl Models {
    /// The first is the default. Two models of one name can't be told apart.
    pub fn new(encoders: Vec<Encoder>) -> Result<Self, ApiError> {
        let models = Self(encoders.into());
        if models.0.is_empty() {
            return Err(ApiError::NoModel);
        }
        for (position, encoder) in models.0.iter().enumerate() {
            let name = &encoder.card().name;
            if models.0[..position]
                .iter()
                .any(|other| other.card().name == *name)
            {
                return Err(ApiError::ModelTwice(name.clone()));
            }
        }
        Ok(models)
    }

    pub fn default_model(&self) -> &Encoder {
        &self.0[0]
    }

    pub fn all(&self) -> &[Encoder] {
        &self.0
    }

    pub fn named(&self, name: &str) -> Result<&Encoder, ApiError> {
        self.find(name).ok_or_else(|| ApiError::UnknownModel {
            wanted: name.into(),
            loaded: self.names(),
        })
    }

    /// The model that made the collection's vectors: the same name and the same weights.
    pub fn of(&self, collection: &CollectionDefinition) -> Result<&Encoder, ApiError> {
        let encoder = self
            .find(&collection.model)
            .ok_or_else(|| ApiError::ModelNotLoaded {
                collection: collection.name.clone(),
                wanted: collection.model.clone(),
                loaded: self.names(),
            })?;
        if encoder.card().fingerprint != collection.model_fingerprint {
            return Err(ApiError::ModelChanged {
                collection: collection.name.clone(),
                model: collection.model.clone(),
            });
        }
        Ok(encoder)
    }

    fn find(&self, name: &str) -> Option<&Encoder> {
        self.0.iter().find(|encoder| encoder.card().name == name)
    }

    fn names(&self) -> String {
        self.0
            .iter()
            .map(|encoder| encoder.card().name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }
}
