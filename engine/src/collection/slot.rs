//! What a collection's name leads to: an open collection, or one whose source of truth is
//! damaged, on which every call fails until it is repaired, restored or dropped.

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
    /// The collection, unless it is damaged.
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

    /// The name of the folder of its indexes. A collection that takes the name of a dropped one
    /// must not meet its index.
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

/// What the server has, in short.
#[derive(Debug, Clone, Default)]
pub struct Overview {
    /// Collections that are served.
    pub served: usize,
    /// Documents in them.
    pub documents: u64,
    /// Names of those that are damaged.
    pub damaged: Vec<String>,
}

pub(crate) fn overview(all: &BTreeMap<CollectionName, CollectionSlot>) -> Overview {
    let mut overview = Overview::default();
    for served in all.values() {
        match served {
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

/// How many are not served.
pub(crate) fn damaged(all: &BTreeMap<CollectionName, CollectionSlot>) -> usize {
    all.values()
        .filter(|served| matches!(served, CollectionSlot::Damaged(_)))
        .count()
}

/// How many have lost their search index.
pub(crate) fn unavailable(all: &BTreeMap<CollectionName, CollectionSlot>) -> usize {
    all.values()
        .filter(|served| matches!(served, CollectionSlot::Open(collection) if collection.is_unavailable()))
        .count()
}
