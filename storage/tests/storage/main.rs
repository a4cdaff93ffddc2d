//! Tests of the public API: durability, validation and detection of corruption.

#![allow(clippy::unwrap_used, reason = "a helper that panics fails its test")]

mod collections;
mod crash;
mod damage;
mod damaged_collection;
mod documents;
mod faults;
mod model;
mod older_folder;

use std::path::Path;

use bytes::Bytes;
use clipdb_storage::{
    CollectionDefinition, CollectionName, CollectionStore, Metadata, NewDocument, NewImage, Store,
    StoreOptions, VectorKind,
};
use serde_json::Value;

const DIM: usize = 3;

fn open(dir: &Path) -> Store {
    Store::open(dir, &StoreOptions::default()).unwrap()
}

fn name(name: &str) -> CollectionName {
    name.parse().unwrap()
}

fn create(store: &Store, named: &str) -> CollectionStore {
    let definition = CollectionDefinition::new(name(named), "m", DIM);
    store.create_collection(definition).unwrap();
    store.collection(&name(named)).unwrap()
}

fn object(json: Value) -> Metadata {
    match json {
        Value::Object(fields) => fields,
        other => panic!("{other} is no object"),
    }
}

fn image(bytes: &[u8]) -> NewImage {
    NewImage {
        bytes: Bytes::copy_from_slice(bytes),
        media_type: "image/png".into(),
        width: 4,
        height: 5,
    }
}

/// A document with a text and its vector.
fn text(id: &str, text: &str) -> NewDocument {
    NewDocument {
        id: id.parse().unwrap(),
        text: Some(text.into()),
        text_truncated: false,
        passages: Vec::new(),
        image: None,
        metadata: Metadata::new(),
        vectors: vec![(VectorKind::Text, vec![text.len() as f32; DIM])],
    }
}

/// A document with an image and its vector.
fn picture(id: &str, bytes: &[u8]) -> NewDocument {
    NewDocument {
        text: None,
        image: Some(image(bytes)),
        vectors: vec![(VectorKind::Image, vec![bytes.len() as f32; DIM])],
        ..text(id, "")
    }
}

/// The names of all files under `images/`, sorted.
fn image_files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![dir.join("images")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.file_name().into_string().unwrap());
            }
        }
    }
    found.sort();
    found
}
