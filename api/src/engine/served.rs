//! What a collection's name leads to: an open collection, or one whose source of truth is
//! damaged, on which every call fails until it is repaired, restored or dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use clipdb_storage::{CollectionName, DamagedCollection, StorageError};

use super::collection::{Collection, OpenSummary};
use crate::error::ApiError;

#[derive(Clone)]
pub(super) enum Served {
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

impl Served {
    /// The collection, unless it is damaged.
    pub(super) fn open(&self) -> Result<&Arc<Collection>, ApiError> {
        match self {
            Self::Open(collection) => Ok(collection),
            Self::Damaged(damaged) => Err(damaged.error().into()),
        }
    }

    pub(super) fn summary(&self) -> CollectionSummary {
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
    pub(super) fn index_folder(&self) -> String {
        match self {
            Self::Open(collection) => {
                index_folder(&collection.definition().name, collection.store.number())
            }
            Self::Damaged(damaged) => index_folder(&damaged.definition().name, damaged.number()),
        }
    }
}

pub(super) fn index_folder(name: &CollectionName, number: u64) -> String {
    format!("{name}-{number}")
}

/// How many are not served.
pub(super) fn damaged(all: &BTreeMap<CollectionName, Served>) -> usize {
    all.values()
        .filter(|served| matches!(served, Served::Damaged(_)))
        .count()
}

/// How many are served and how many are not, in Prometheus' text format.
pub(super) fn metrics(all: &BTreeMap<CollectionName, Served>) -> String {
    let damaged = damaged(all);
    format!(
        "# HELP clipdb_collections Collections, by whether they are served\n\
         # TYPE clipdb_collections gauge\n\
         clipdb_collections{{status=\"open\"}} {}\n\
         clipdb_collections{{status=\"damaged\"}} {damaged}\n",
        all.len() - damaged
    )
}

/// What is damaged, where a failure to open a collection says that its documents are; the failure
/// otherwise.
pub(super) fn damage(error: ApiError) -> Result<String, ApiError> {
    match error {
        ApiError::Storage(StorageError::Damaged { what, reason }) => {
            Ok(format!("{what}: {reason}"))
        }
        ApiError::LostVersion { key, .. } => Ok(format!(
            "version {key} of a document is listed and is not there"
        )),
        other => Err(other),
    }
}
