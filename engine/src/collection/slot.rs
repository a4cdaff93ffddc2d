//! The slot of a collection in the engine: the open collection, or a corrupt one, for which every
//! call fails until it is repaired, restored or dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use clipdb_storage::{CollectionName, DamagedCollection};

use crate::collection::collection::Collection;
use crate::collection::summary::{CollectionSummary, DamagedSummary};
use crate::error::EngineError;

#[derive(Clone)]
pub(crate) enum CollectionSlot {
    Open(Arc<Collection>),
    Damaged(DamagedCollection),
}

impl CollectionSlot {
    /// The collection, unless it is corrupt.
    pub(crate) fn open(&self) -> Result<&Arc<Collection>, EngineError> {
        match self {
            Self::Open(collection) => Ok(collection),
            Self::Damaged(damaged) => Err(damaged.error().into()),
        }
    }

    pub(crate) fn summary(&self) -> CollectionSummary {
        match self {
            Self::Open(collection) => collection.summary(),
            Self::Damaged(damaged) => {
                let definition = damaged.definition();
                CollectionSummary::Damaged(DamagedSummary {
                    name: definition.name.to_string(),
                    model: definition.model.clone(),
                    dim: definition.dim,
                    reason: damaged.reason().to_owned(),
                    created_at: definition.created_at,
                })
            }
        }
    }

    /// The name of its index folder. It has the collection's number, so a new collection with the
    /// name of a dropped one never opens the old index.
    pub(crate) fn index_folder(&self) -> String {
        match self {
            Self::Open(collection) => {
                index_folder(&collection.definition().name, collection.store.number())
            }
            Self::Damaged(damaged) => index_folder(&damaged.definition().name, damaged.number()),
        }
    }
}

pub(crate) fn index_folder(name: &CollectionName, number: u64) -> String {
    format!("{name}-{number}")
}

/// Totals over all collections.
#[derive(Debug, Clone, Default)]
pub struct Overview {
    /// Collections that are online.
    pub served: usize,
    /// Documents in these collections.
    pub documents: u64,
    /// The names of corrupt collections, which are offline.
    pub damaged: Vec<String>,
}

pub(crate) fn overview(all: &BTreeMap<CollectionName, CollectionSlot>) -> Overview {
    let mut overview = Overview::default();
    for slot in all.values() {
        match slot {
            CollectionSlot::Open(collection) => {
                overview.served += 1;
                overview.documents += collection.store.len();
            }
            CollectionSlot::Damaged(damaged) => {
                overview.damaged.push(damaged.definition().name.to_string());
            }
        }
    }
    overview
}

/// The number of corrupt collections.
pub(crate) fn damaged(all: &BTreeMap<CollectionName, CollectionSlot>) -> usize {
    all.values()
        .filter(|slot| matches!(slot, CollectionSlot::Damaged(_)))
        .count()
}

/// The number of collections whose search index is lost.
pub(crate) fn unavailable(all: &BTreeMap<CollectionName, CollectionSlot>) -> usize {
    all.values()
        .filter(
            |slot| matches!(slot, CollectionSlot::Open(collection) if collection.is_unavailable()),
        )
        .count()
}
