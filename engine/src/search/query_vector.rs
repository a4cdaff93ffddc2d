//! Computes the vector of a query: its parts are embedded, with priority over ingest, and summed by
//! weight.

use std::sync::Arc;

use clipdb_embed::{Priority, TextRole};
use clipdb_index::VectorKind;
use clipdb_storage::{CollectionStore, DocumentId};

use crate::blocking::blocking;
use crate::collection::collection::Collection;
use crate::collection::rows;
use crate::documents::ingest::expect_one;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::search::confidence::Asked;
use crate::search::query::{Content, Query};
use crate::search::timings::SearchTimings;

/// The parts of a query cancel if their sum is at most this part of their weights: vectors of the same
/// text from two batches differ by as much as their rounding.
const NOISE: f32 = 2e-3;

impl Engine {
    /// The weighted sum of the parts' unit vectors, normalised to length 1, and what is known of it.
    pub(crate) async fn query_vector(
        &self,
        collection: &Arc<Collection>,
        query: &Query,
        timings: &mut SearchTimings,
        truncated: &mut bool,
    ) -> Result<(Vec<f32>, Asked), EngineError> {
        let mut asked = Asked {
            modality: query.modality(),
            ..Asked::default()
        };
        let dim = collection.definition().dim;
        let mut sum = vec![0.0f32; dim];
        for part in &query.parts {
            let unit = self
                .part_vector(collection, &part.content, &mut asked, timings, truncated)
                .await?;
            for (total, value) in sum.iter_mut().zip(&unit) {
                *total += part.weight * value;
            }
        }
        let weights: f32 = query.parts.iter().map(|part| part.weight.abs()).sum();
        let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length <= NOISE * weights {
            return Err(EngineError::CancelledQuery);
        }
        let vector = unit_length(sum).ok_or(EngineError::CancelledQuery)?;
        Ok((vector, asked))
    }

    async fn part_vector(
        &self,
        collection: &Arc<Collection>,
        content: &Content,
        asked: &mut Asked,
        timings: &mut SearchTimings,
        truncated: &mut bool,
    ) -> Result<Vec<f32>, EngineError> {
        match content {
            Content::Text(text) => {
                self.check_text(text)?;
                let encoder = self.models.of(collection.definition())?;
                let reading = encoder.read(text.clone()).await?;
                let text = expect_one(
                    encoder
                        .texts_as(vec![text.clone()], TextRole::Query, Priority::Search)
                        .await?,
                )?;
                *truncated |= text.truncated;
                asked.add(reading);
                timings.add_embedding(&text.timings);
                Ok(text.embedding.into_vec())
            }
            Content::Image(source) => {
                let encoder = self.models.of(collection.definition())?;
                let bytes = self.image_bytes(source.clone()).await?;
                let image = encoder.image(bytes, Priority::Search).await?;
                timings.add_embedding(&image.timings);
                Ok(image.embedding.into_vec())
            }
            Content::ImageOf(id) => {
                let (store, id) = (collection.store.clone(), id.clone());
                blocking(move || stored_image_vector(&store, id)).await?
            }
            Content::Vector(vector) => {
                let wanted = collection.definition().dim;
                if vector.len() != wanted {
                    return Err(EngineError::WrongDimension {
                        collection: collection.definition().name.clone(),
                        got: vector.len(),
                        wanted,
                    });
                }
                unit_length(vector.clone()).ok_or_else(|| EngineError::NoDirection {
                    kind: "query",
                    reason: "its length is zero or almost zero".to_owned(),
                })
            }
        }
    }
}

fn unit_length(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let norm = vector
        .iter()
        .map(|value| f64::from(*value).powi(2))
        .sum::<f64>()
        .sqrt();
    if !norm.is_finite() || norm < 1e-6 {
        return None;
    }
    for value in &mut vector {
        *value = (f64::from(*value) / norm) as f32;
    }
    Some(vector)
}

fn stored_image_vector(store: &CollectionStore, id: DocumentId) -> Result<Vec<f32>, EngineError> {
    let document = store
        .get(&id)?
        .ok_or_else(|| EngineError::DocumentNotFound {
            collection: store.definition().name.clone(),
            id: id.clone(),
        })?;
    let vectors = store.vectors(document.key)?;
    vectors
        .into_iter()
        .find(|(kind, _)| rows::vector_kind(*kind) == VectorKind::Image)
        .map(|(_, vector)| vector)
        .ok_or(EngineError::NoImage(id))
}
