//! The loaded models. Each collection names the model that its vectors come from.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clipdb_embed::{Encoder, QueueStatistics};
use clipdb_storage::CollectionDefinition;

use crate::error::EngineError;

/// The loaded models, of which the first is the default. There may be none: a collection whose
/// vectors come from its clients needs no model.
#[derive(Clone)]
pub struct Models {
    encoders: Arc<[Encoder]>,
    loaded_at: SystemTime,
}

impl Models {
    /// Takes the loaded `encoders`; the first becomes the default.
    ///
    /// # Errors
    /// [`EngineError::ModelTwice`] if two models have the same name.
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

    /// The model that is used when a request names none.
    ///
    /// # Errors
    /// [`EngineError::NoModel`] if none is loaded.
    pub fn default_model(&self) -> Result<&Encoder, EngineError> {
        self.encoders.first().ok_or(EngineError::NoModel)
    }

    /// All models, the default first.
    pub fn all(&self) -> &[Encoder] {
        &self.encoders
    }

    /// Each model's name and counters.
    pub fn statistics(&self) -> impl Iterator<Item = (&str, QueueStatistics)> {
        let encoders = self.encoders.iter();
        encoders.map(|encoder| (encoder.card().name.as_str(), encoder.statistics()))
    }

    /// When the models were loaded, in seconds since the Unix epoch.
    pub fn loaded_at(&self) -> u64 {
        self.loaded_at
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }

    /// The model called `name`, or the default if it is `None`.
    ///
    /// # Errors
    /// [`EngineError::UnknownModel`] or [`EngineError::NoModel`].
    pub fn chosen(&self, name: Option<&str>) -> Result<&Encoder, EngineError> {
        match name {
            Some(name) => self.named(name),
            None => self.default_model(),
        }
    }

    /// The model called `name`.
    ///
    /// # Errors
    /// [`EngineError::UnknownModel`] if it is not loaded.
    pub fn named(&self, name: &str) -> Result<&Encoder, EngineError> {
        self.find(name).ok_or_else(|| EngineError::UnknownModel {
            wanted: name.into(),
            loaded: self.names(),
        })
    }

    /// The model that embedded the collection's vectors: the same name and the same weights.
    ///
    /// # Errors
    /// [`EngineError::CollectionWithoutModel`], [`EngineError::ModelNotLoaded`], or
    /// [`EngineError::ModelChanged`] if the weights differ.
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
