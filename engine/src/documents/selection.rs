//! Documents picked by a filter alone: a page of them, or all of them to be deleted.

use std::cell::RefCell;
use std::sync::Arc;

use clipdb_index::{Filter, Order, RowId, RowSet, SortKey};
use clipdb_storage::{Document, DocumentId, Outcome, Write};
use serde_json::Value;

use crate::blocking::blocking;
use crate::collection::collection::Collection;
use crate::collection::rows;
use crate::engine::Engine;
use crate::error::EngineError;

impl Engine {
    /// Documents that pass a filter in the order of their ids, those after `after` first.
    pub async fn list_where(
        &self,
        collection: &Arc<Collection>,
        filter: Value,
        after: Option<DocumentId>,
        limit: usize,
    ) -> Result<Vec<Document>, EngineError> {
        collection.wake().await?;
        let collection = Arc::clone(collection);
        blocking(move || {
            let filter = collection.filter(&filter)?;
            let index = collection.searchable()?;
            let rows = index.select(&filter)?;
            let mut after = after.map(|id| SortKey::of_id(id.as_str()));
            let mut documents = Vec::new();
            // A row that was replaced or deleted just now has no such version: go on behind it.
            while documents.len() < limit {
                let wanted = limit - documents.len();
                let ordered =
                    index.ordered(Some(&rows), &Order::default(), after.as_ref(), wanted)?;
                let found = ordered.len();
                for ordered in ordered {
                    let key = rows::document_key(ordered.row);
                    documents.extend(collection.store.get_by_key(key)?);
                    after = Some(ordered.key);
                }
                if found < wanted {
                    break;
                }
            }
            Ok(documents)
        })
        .await?
    }

    /// Deletes the documents that pass a filter now, group by group, and says how many.
    /// One that is replaced meanwhile stays.
    pub async fn delete_where(
        &self,
        collection: &Arc<Collection>,
        filter: Value,
    ) -> Result<u64, EngineError> {
        collection.wake().await?;
        let picked = Arc::clone(collection);
        let rows: Arc<RowSet> = blocking(move || {
            let filter = picked.filter(&filter)?;
            if filter.is_empty() {
                return Err(EngineError::EmptyFilter);
            }
            Ok(picked.searchable()?.select(&filter)?)
        })
        .await??;
        let mut deleted = 0;
        let mut rows = Arc::unwrap_or_clone(rows).into_rows().peekable();
        while rows.peek().is_some() {
            let group: Vec<RowId> = rows.by_ref().take(self.settings.group_documents).collect();
            deleted += self.delete_rows(collection, group).await?;
        }
        Ok(deleted)
    }

    async fn delete_rows(
        &self,
        collection: &Arc<Collection>,
        group: Vec<RowId>,
    ) -> Result<u64, EngineError> {
        let store = collection.store.clone();
        let writes = blocking(move || {
            let mut writes = Vec::with_capacity(group.len());
            for row in group {
                let key = rows::document_key(row);
                if let Some(document) = store.get_by_key(key)? {
                    writes.push(Write::DeleteVersion {
                        id: document.id,
                        key,
                    });
                }
            }
            Ok::<_, EngineError>(writes)
        })
        .await??;
        let mut tickets = Vec::with_capacity(writes.len());
        for write in writes {
            tickets.push(collection.submit(write).await?);
        }
        let mut deleted = 0;
        for ticket in tickets {
            deleted += u64::from(matches!(ticket.wait().await?, Outcome::Deleted { .. }));
        }
        Ok(deleted)
    }
}

impl Collection {
    /// A filter as this collection's fields read it.
    pub(crate) fn filter(&self, filter: &Value) -> Result<Filter, EngineError> {
        let index = self.searchable()?;
        let failure = RefCell::new(None);
        let is_field = |path: &str| {
            index.has_field(path).unwrap_or_else(|error| {
                *failure.borrow_mut() = Some(error);
                false
            })
        };
        let read = Filter::parse_where(filter, self.fields(), &is_field);
        match failure.into_inner() {
            Some(error) => Err(error.into()),
            None => Ok(read?),
        }
    }
}

#[cfg(test)]
mod tests;
