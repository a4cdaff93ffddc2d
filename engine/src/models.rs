//! The loaded models. Each collection names the one whose vectors it holds.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clipdb_embed::{Encoder, QueueStatistics};
use clipdb_storage::CollectionDefinition;

use crate::error::EngineError;

/// The first one is the default. There may be none: collections of given vectors need no model.
#[derive(Clone)]
pub struct Models {
    encoders: Arc<[Encoder]>,
    loaded_at: SystemTime,
}

impl Models {
    /// # Errors
    /// [`EngineError::ModelTwice`]: two models have the same name.
    pub fn new(encoders: Vec<Encoder>) -> Result<Self, EngineError> {
        let models = Self {
            encoders: encoders.into(),
            loaded_at: SystemTime::now(),
        };
        for (position, encoder) in models.encoders.iter().enumerate() {
            let name = &encoder.card().name;
            if models.encoders[..position]
                .iter()
                .any(|other| other.card().name == *name)
            {
                return Err(EngineError::ModelTwice(name.clone()));
            }
        }
        Ok(models)
    }

    /// # Errors
    /// [`EngineError::NoModel`]: none is loaded.
    pub fn default_model(&self) -> Result<&Encoder, EngineError> {
        self.encoders.first().ok_or(EngineError::NoModel)
    }

    pub fn all(&self) -> &[Encoder] {
        &self.encoders
    }

    /// What each has counted, by its name.
    pub fn statistics(&self) -> impl Iterator<Item = (&str, QueueStatistics)> {
        let encoders = self.encoders.iter();
        encoders.map(|encoder| (encoder.card().name.as_str(), encoder.statistics()))
    }

    /// When they were loaded, in seconds since 1970.
    pub fn loaded_at(&self) -> u64 {
        self.loaded_at
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }

    /// The one that is named, or the default.
    pub fn chosen(&self, name: Option<&str>) -> Result<&Encoder, EngineError> {
        match name {
            Some(name) => self.named(name),
            None => self.default_model(),
        }
    }

    pub fn named(&self, name: &str) -> Result<&Encoder, EngineError> {
        self.find(name).ok_or_else(|| EngineError::UnknownModel {
            wanted: name.into(),
            loaded: self.names(),
        })
    }

    /// The model that made the collection's vectors: the same name and the same weights.
    pub fn of(&self, collection: &CollectionDefinition) -> Result<&Encoder, EngineError> {
        if collection.model == crate::collection::definition::NO_MODEL {
            return Err(EngineError::CollectionWithoutModel(collection.name.clone()));
        }
        let encoder = self
            .find(&collection.model)
            .ok_or_else(|| EngineError::ModelNotLoaded {
                collection: collection.name.clone(),
                wanted: collection.model.clone(),
                loaded: self.names(),
            })?;
        if encoder.card().fingerprint != collection.model_fingerprint {
            return Err(EngineError::ModelChanged {
                collection: collection.name.clone(),
                model: collection.model.clone(),
            });
        }
        Ok(encoder)
    }

    fn find(&self, name: &str) -> Option<&Encoder> {
        self.encoders
            .iter()
            .find(|encoder| encoder.card().name == name)
    }

    fn names(&self) -> String {
        self.encoders
            .iter()
            .map(|encoder| encoder.card().name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }
}
