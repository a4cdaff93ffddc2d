//! Random writes against a map in memory, with the folder reopened between them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clipdb_storage::{
    BlobHash, CollectionStore, DocumentId, DocumentKey, FieldUpdate, Metadata, NewDocument,
    NewText, Outcome, Passage, Patch, Vector, VectorKind, Write,
};
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use crate::{DIM, create, image, image_files, name, open};

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Write>),
    Reopen,
}

#[derive(Clone, Debug, PartialEq)]
struct Modelled {
    key: DocumentKey,
    text: Option<String>,
    text_truncated: bool,
    image: Option<Vec<u8>>,
    metadata: Metadata,
    passages: Vec<Passage>,
    /// Image vectors first.
    vectors: Vec<Vector>,
}

#[derive(Default)]
struct Model {
    documents: BTreeMap<DocumentId, Modelled>,
    next_key: u64,
}

impl Model {
    fn apply(&mut self, write: &Write) -> Outcome {
        let id = write.id().clone();
        let there = self.documents.get(&id).cloned();
        let made = match (write, there.clone()) {
            (
                Write::Delete(_)
                | Write::DeleteVersion { .. }
                | Write::Merge { .. }
                | Write::Patch(_),
                None,
            ) => {
                return Outcome::NotFound;
            }
            (Write::DeleteVersion { key, .. }, Some(there)) if *key != there.key => {
                return Outcome::NotFound;
            }
            (Write::Delete(_) | Write::DeleteVersion { .. }, Some(there)) => {
                self.documents.remove(&id);
                return Outcome::Deleted { key: there.key };
            }
            (Write::Put(new), _) => Modelled {
                key: DocumentKey::new(0),
                text: new.text.clone(),
                text_truncated: new.text_truncated,
                image: new.image.as_ref().map(|image| image.bytes.to_vec()),
                metadata: new.metadata.clone(),
                passages: new.passages.clone(),
                vectors: new.vectors.clone(),
            },
            (Write::Merge { metadata, .. }, Some(there)) => there.merged(metadata),
            (Write::Patch(revision), Some(there)) => {
                let mut made = there.merged(&revision.metadata);
                match &revision.text {
                    FieldUpdate::Keep => {}
                    FieldUpdate::Remove => {
                        (made.text, made.text_truncated) = (None, false);
                        made.set_texts(&[], &[]);
                    }
                    FieldUpdate::Set(new) => {
                        (made.text, made.text_truncated) = (Some(new.text.clone()), new.truncated);
                        made.set_texts(&new.passages, &new.vectors);
                    }
                }
                match &revision.image {
                    FieldUpdate::Keep => {}
                    FieldUpdate::Remove => {
                        made.image = None;
                        made.set_image(None);
                    }
                    FieldUpdate::Set((image, vector)) => {
                        made.image = Some(image.bytes.to_vec());
                        made.set_image(Some(vector));
                    }
                }
                if made.text.is_none() && made.image.is_none() {
                    return Outcome::NothingLeft;
                }
                made
            }
        };
        let key = DocumentKey::new(self.next_key);
        self.next_key += 1;
        self.documents.insert(id, Modelled { key, ..made });
        match there {
            Some(Modelled { key: replaced, .. }) => Outcome::Updated { key, replaced },
            None => Outcome::Created { key },
        }
    }
}

impl Modelled {
    /// The generated metadata is flat.
    fn merged(mut self, patch: &Metadata) -> Self {
        self.metadata.extend(patch.clone());
        self.metadata.retain(|_, value| !value.is_null());
        self
    }

    fn set_texts(&mut self, passages: &[Passage], vectors: &[Vec<f32>]) {
        self.passages = passages.to_vec();
        self.vectors.retain(|(kind, _)| *kind == VectorKind::Image);
        let texts = vectors.iter().map(|v| (VectorKind::Text, v.clone()));
        self.vectors.extend(texts);
    }

    fn set_image(&mut self, vector: Option<&Vec<f32>>) {
        self.vectors.retain(|(kind, _)| *kind == VectorKind::Text);
        let image = vector.map(|v| (VectorKind::Image, v.clone()));
        self.vectors.splice(0..0, image);
    }
}

fn check(dir: &Path, collection: &CollectionStore, model: &Model) {
    let documents = collection.list(None, usize::MAX).unwrap();
    let found: BTreeMap<DocumentId, Modelled> = documents
        .into_iter()
        .map(|document| {
            assert_eq!(
                collection.get(&document.id).unwrap().as_ref(),
                Some(&document)
            );
            assert_eq!(
                collection.get_by_key(document.key).unwrap().as_ref(),
                Some(&document)
            );
            let image = document.image.map(|image| {
                let bytes = collection.read_image(&image.hash).unwrap().unwrap();
                assert_eq!(bytes.len() as u64, image.bytes);
                bytes.to_vec()
            });
            let modelled = Modelled {
                key: document.key,
                text: document.text,
                text_truncated: document.text_truncated,
                passages: document.passages,
                image,
                metadata: document.metadata,
                vectors: collection.vectors(document.key).unwrap(),
            };
            (document.id, modelled)
        })
        .collect();
    assert_eq!(found, model.documents);
    assert_eq!(collection.len(), model.documents.len() as u64);
    let keys: BTreeSet<_> = model
        .documents
        .values()
        .map(|document| document.key)
        .collect();
    assert_eq!(
        collection.live_keys().unwrap(),
        keys.into_iter().collect::<Vec<_>>()
    );
    let images = model
        .documents
        .values()
        .filter_map(|document| document.image.as_ref());
    let hashes: BTreeSet<_> = images
        .map(|bytes| BlobHash::of(bytes).to_string())
        .collect();
    assert_eq!(image_files(dir), hashes.into_iter().collect::<Vec<_>>());
}

fn id() -> impl Strategy<Value = DocumentId> {
    "[a-d]".prop_map(|id| id.parse().unwrap())
}

fn metadata() -> impl Strategy<Value = Metadata> {
    prop::collection::hash_map("[xyz]", 0..3_u8, 0..3).prop_map(|fields| {
        let fields = fields.into_iter();
        fields.map(|(name, n)| (name, Value::from(n))).collect()
    })
}

/// Metadata in which 0 stands for a removal.
fn patch() -> impl Strategy<Value = Metadata> {
    metadata().prop_map(|mut fields| {
        for value in fields.values_mut().filter(|value| **value == 0) {
            *value = Value::Null;
        }
        fields
    })
}

fn vector() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-1.0..1.0_f32, DIM)
}

fn new_text() -> impl Strategy<Value = NewText> {
    let text = prop_oneof![9 => "[a-z ]{0,9}", 1 => Just("long ".repeat(15_000))];
    let vectors = prop_oneof![
        3 => prop::collection::vec(vector(), 1),
        1 => prop::collection::vec(vector(), 1..9),
    ];
    (text, any::<bool>(), vectors).prop_map(|(text, truncated, vectors)| {
        let end = text.len() as u32;
        let passages = if vectors.len() > 1 {
            (0..vectors.len() as u32)
                .map(|n| Passage::from((n.min(end), end)))
                .collect()
        } else {
            Vec::new()
        };
        NewText {
            text,
            truncated,
            passages,
            vectors,
        }
    })
}

fn new_image() -> impl Strategy<Value = (clipdb_storage::NewImage, Vec<f32>)> {
    (0..3_u8, vector()).prop_map(|(which, vector)| (image(&[which; 100]), vector))
}

fn part<T: Clone + std::fmt::Debug>(
    new: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = FieldUpdate<T>> {
    prop_oneof![
        Just(FieldUpdate::Keep),
        Just(FieldUpdate::Remove),
        new.prop_map(FieldUpdate::Set)
    ]
}

fn put() -> impl Strategy<Value = Write> {
    let parts = (prop::option::of(new_text()), prop::option::of(new_image()));
    let parts = parts.prop_filter("has a part", |(text, image)| {
        text.is_some() || image.is_some()
    });
    (id(), parts, metadata()).prop_map(|(id, (text, image), metadata)| {
        let mut vectors: Vec<Vector> = Vec::new();
        vectors.extend(image.iter().map(|(_, v)| (VectorKind::Image, v.clone())));
        let texts = text.iter().flat_map(|text| &text.vectors);
        vectors.extend(texts.map(|vector| (VectorKind::Text, vector.clone())));
        Write::Put(NewDocument {
            id,
            text_truncated: text.as_ref().is_some_and(|text| text.truncated),
            passages: text
                .as_ref()
                .map_or_else(Vec::new, |text| text.passages.clone()),
            text: text.map(|text| text.text),
            image: image.map(|(image, _)| image),
            metadata,
            vectors,
        })
    })
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        4 => put(),
        2 => (id(), part(new_text()), part(new_image()), patch()).prop_map(
            |(id, text, image, metadata)| Write::Patch(Patch { id, text, image, metadata })
        ),
        1 => (id(), patch()).prop_map(|(id, metadata)| Write::Merge { id, metadata }),
        2 => id().prop_map(Write::Delete),
        1 => (id(), (0u64..20).prop_map(DocumentKey::new))
            .prop_map(|(id, key)| Write::DeleteVersion { id, key }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn it_behaves_like_a_map(steps in prop::collection::vec(
        prop_oneof![5 => prop::collection::vec(write(), 0..6).prop_map(Step::Commit), 1 => Just(Step::Reopen)],
        1..16,
    )) {
        let dir = TempDir::new().unwrap();
        let mut collection = create(&open(dir.path()), "a");
        let mut model = Model::default();
        let mut sequence = 0;
        for step in steps {
            match step {
                Step::Commit(group) => {
                    let outcomes: Vec<_> = group.iter().map(|write| model.apply(write)).collect();
                    let changed = outcomes.iter().any(|outcome| {
                        !matches!(outcome, Outcome::NotFound | Outcome::NothingLeft)
                    });
                    sequence += u64::from(changed);
                    let committed = collection.commit(group).unwrap();
                    prop_assert_eq!(committed.outcomes, outcomes);
                    prop_assert_eq!(committed.sequence, sequence);
                }
                Step::Reopen => {
                    drop(collection);
                    collection = open(dir.path()).collection(&name("a")).unwrap();
                    prop_assert_eq!(collection.sequence(), sequence);
                }
            }
            check(dir.path(), &collection, &model);
        }
    }
}
