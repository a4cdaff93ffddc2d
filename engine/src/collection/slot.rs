//! What a collection's name leads to: an open collection, or one whose source of truth is
//! damaged, on which every call fails until it is repaired, restored or dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use clipdb_storage::{CollectionName, DamagedCollection, StorageError};

use crate::collection::collection::{Collection, OpenSummary};
use crate::error::EngineError;

#[derive(Clone)]
pub(crate) enum CollectionSlot {
    Open(Arc<Collection>),
    Damaged(DamagedCollection),
}

/// What `GET /collections` tells of each.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum CollectionSummary {
    Open(Box<OpenSummary>),
    Damaged(DamagedSummary),
}

/// What is known of a collection that is not served.
#[derive(Debug, Clone, serde::Serialize)]
pub struct DamagedSummary {
    pub name: String,
    pub model: String,
    pub dim: usize,
    /// What of it is damaged, and how.
    pub reason: String,
    pub created_at: u64,
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

/// What is damaged, where a failure to open a collection says that its documents are.
pub(crate) fn damage(error: &EngineError) -> Option<String> {
    match error {
        EngineError::Storage(StorageError::Damaged { what, reason }) => {
            Some(format!("{what}: {reason}"))
        }
        EngineError::LostVersion { key, .. } => Some(format!(
            "version {key} of a document is listed and is not there"
        )),
        _ => None,
    }
}
