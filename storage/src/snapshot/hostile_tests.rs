//! Archives with valid checksums and invalid content.

use tempfile::TempDir;

use super::archive::{Frame, Reader, Writer};
use super::*;
use crate::counters::Counters;
use crate::files::encode_key;
use crate::{
    BlobHash, CollectionDefinition, CollectionStore, Document, DocumentKey, Metadata, NewDocument,
    NewImage, Store, StoreOptions, VectorKind, Write, layout, record,
};

struct Whole;

impl Progress for Whole {
    fn reached(&self, _: u64, _: u64) -> bool {
        true
    }
}

const DIM: usize = 3;

fn filled(store: &Store) -> CollectionStore {
    let definition = CollectionDefinition::new("a".parse().unwrap(), "m", DIM);
    store.create_collection(definition).unwrap();
    let collection = store.collection(&"a".parse().unwrap()).unwrap();
    let document = |n: usize| NewDocument {
        id: format!("d{n}").parse().unwrap(),
        text: Some(format!("text {n}")),
        text_truncated: false,
        passages: Vec::new(),
        image: (n == 1).then(|| NewImage {
            bytes: b"picture".as_slice().into(),
            media_type: "image/png".into(),
            width: 1,
            height: 1,
        }),
        metadata: Metadata::new(),
        vectors: vec![(VectorKind::Text, vec![n as f32; DIM])],
    };
    let group = (0..3).map(|n| Write::Put(document(n))).collect();
    collection.commit(group).unwrap();
    collection
}

fn frames(archive: &[u8]) -> Vec<Frame> {
    let mut reader = Reader::new(archive).unwrap();
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

fn written(frames: &[Frame]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).unwrap();
    for frame in frames {
        writer.write(frame).unwrap();
    }
    writer.finish().unwrap().0
}

/// The document frames of an archive, mutably.
fn documents(frames: &mut [Frame]) -> Vec<&mut Vec<RawEntry>> {
    let entries = frames.iter_mut().filter_map(|frame| match frame {
        Frame::Document(entries) => Some(entries),
        _ => None,
    });
    entries.collect()
}

/// Changes the record, with valid checksums.
fn change_record(entries: &mut Vec<RawEntry>, change: impl FnOnce(&mut Document)) {
    let key = entries.iter().find(|(key, _)| key[0] == b'D').unwrap();
    let version = layout::version_of(&key.0).unwrap();
    let value = crate::frame::open(&key.0, &key.1, String::new).unwrap();
    let mut document: Document = serde_json::from_slice(&value[2..]).unwrap();
    document.key = version;
    change(&mut document);
    entries.retain(|(key, _)| key[0] != b'D');
    entries.extend(record::encode(&document).unwrap());
}

fn change_counters(frames: &mut [Frame], change: impl FnOnce(&mut Counters)) {
    for frame in frames {
        if let Frame::Counters((key, value)) = frame {
            let payload = crate::frame::open(key, value, String::new).unwrap();
            let mut counters: Counters = serde_json::from_slice(payload).unwrap();
            change(&mut counters);
            *value = counters.encode().unwrap();
            return;
        }
    }
}

type Change = Box<dyn FnOnce(&mut Vec<Frame>)>;

fn changes() -> Vec<(&'static str, Change)> {
    fn of(change: impl FnOnce(&mut Vec<Frame>) + 'static) -> Change {
        Box::new(change)
    }
    fn record(change: impl FnOnce(&mut Document) + 'static) -> Change {
        of(|frames| change_record(documents(frames)[1], change))
    }
    fn entries(change: impl FnOnce(&mut Vec<RawEntry>) + 'static) -> Change {
        of(|frames| change(documents(frames)[1]))
    }
    vec![
        (
            "a flipped bit of a record",
            entries(|all| all.iter_mut().find(|e| e.0[0] == b'D').unwrap().1[9] ^= 1),
        ),
        (
            "a flipped bit of a vector",
            entries(|all| all.iter_mut().find(|e| e.0[0] == b'V').unwrap().1[7] ^= 1),
        ),
        (
            "a flipped bit of an id's entry",
            entries(|all| all.iter_mut().find(|e| e.0[0] == b'I').unwrap().1[6] ^= 1),
        ),
        ("no record", entries(|all| all.retain(|e| e.0[0] != b'D'))),
        ("no vector", entries(|all| all.retain(|e| e.0[0] != b'V'))),
        ("no id", entries(|all| all.retain(|e| e.0[0] != b'I'))),
        (
            "no reference",
            entries(|all| all.retain(|e| e.0[0] != b'R')),
        ),
        ("an empty value", entries(|all| all[0].1.clear())),
        (
            "a key of no kind",
            entries(|all| all.push((b"Zx".to_vec(), b"y".to_vec()))),
        ),
        (
            "an empty key",
            entries(|all| all.push((Vec::new(), b"y".to_vec()))),
        ),
        (
            "counters as a document's",
            entries(|all| all.push((layout::COUNTERS.to_vec(), Vec::new()))),
        ),
        (
            "another version's vector",
            entries(|all| {
                let vector = vec![(VectorKind::Text, vec![1.0; DIM])];
                all.extend(record::encode_vectors(DocumentKey::new(0), &vector));
            }),
        ),
        (
            "a vector with other dimensions",
            entries(|all| {
                let version =
                    layout::version_of(&all.iter().find(|e| e.0[0] == b'D').unwrap().0).unwrap();
                all.retain(|e| e.0[0] != b'V');
                all.extend(record::encode_vectors(
                    version,
                    &[(VectorKind::Text, vec![1.0; DIM + 1])],
                ));
            }),
        ),
        (
            "a vector of NaN",
            entries(|all| {
                let version =
                    layout::version_of(&all.iter().find(|e| e.0[0] == b'D').unwrap().0).unwrap();
                all.retain(|e| e.0[0] != b'V');
                all.extend(record::encode_vectors(
                    version,
                    &[(VectorKind::Text, vec![f32::NAN; DIM])],
                ));
            }),
        ),
        (
            "two ids of one version",
            entries(|all| {
                let id = layout::id(&"other".parse().unwrap());
                let value = encode_key(&id, DocumentKey::new(1));
                all.push((id, value));
            }),
        ),
        (
            "an invalid id",
            entries(|all| {
                let mut id = layout::IDS.to_vec();
                id.extend([0xff, 0xfe]);
                let value = encode_key(&id, DocumentKey::new(1));
                all.retain(|e| e.0[0] != b'I');
                all.push((id, value));
            }),
        ),
        (
            "another document's record",
            record(|document| document.id = "d2".parse().unwrap()),
        ),
        (
            "an HTML page as an image",
            record(|document| document.image.as_mut().unwrap().media_type = "text/html".into()),
        ),
        (
            "an SVG as an image",
            record(|document| document.image.as_mut().unwrap().media_type = "image/svg+xml".into()),
        ),
        (
            "a media type of two lines",
            record(|document| {
                document.image.as_mut().unwrap().media_type = "image/png\r\nx: y".into();
            }),
        ),
        (
            "a missing image",
            record(|document| document.image.as_mut().unwrap().hash = BlobHash::of(b"other")),
        ),
        (
            "passages outside of the text",
            record(|document| document.passages = vec![(7, 900).into()]),
        ),
        (
            "a document twice",
            of(|frames| {
                let again = documents(frames)[0].clone();
                frames.push(Frame::Document(again));
            }),
        ),
        (
            "a missing document",
            of(|frames| {
                frames.pop();
            }),
        ),
        (
            "an image under another hash",
            of(|frames| {
                frames.push(Frame::Image(BlobHash::of(b"x"), b"y".to_vec()));
            }),
        ),
        (
            "two manifests",
            of(|frames| {
                let manifest = match &frames[0] {
                    Frame::Manifest(manifest) => manifest.clone(),
                    _ => panic!(),
                };
                frames.push(Frame::Manifest(manifest));
            }),
        ),
        (
            "no counters",
            of(|frames| frames.retain(|frame| !matches!(frame, Frame::Counters(_)))),
        ),
        (
            "counters of more documents",
            of(|frames| change_counters(frames, |c| c.documents += 1)),
        ),
        (
            "counters behind the documents",
            of(|frames| change_counters(frames, |c| c.next_key = 1)),
        ),
        (
            "counters at their maximum",
            of(|frames| change_counters(frames, |c| c.next_key = u64::MAX)),
        ),
        (
            "a sequence at its maximum",
            of(|frames| change_counters(frames, |c| c.sequence = u64::MAX)),
        ),
        (
            "a manifest of more documents",
            of(|frames| {
                if let Frame::Manifest(manifest) = &mut frames[0] {
                    manifest.documents += 1;
                }
            }),
        ),
    ]
}

#[test]
fn invalid_content_with_valid_checksums_is_rejected() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), &StoreOptions::default()).unwrap();
    let collection = filled(&store);
    let info = store.snapshots().take(&collection, &Whole).unwrap();
    let mut archive = Vec::new();
    let mut file = store
        .snapshots()
        .file(&"a".parse().unwrap(), &info.id)
        .unwrap();
    std::io::Read::read_to_end(&mut file, &mut archive).unwrap();
    assert_eq!(
        written(&frames(&archive)),
        archive,
        "unchanged frames are the archive"
    );
    let restore = |archive: &[u8]| {
        let mut definition = read_manifest(archive)?.definition;
        definition.name = "b".parse().unwrap();
        store.restore(archive, definition, &Whole).map(drop)
    };
    restore(&archive).unwrap();
    let path = dir.path().to_str().unwrap();
    let mut trailing = archive.clone();
    trailing.push(0);
    let mut refused = vec![("trailing bytes", trailing), ("twice", archive.repeat(2))];
    for (what, change) in changes() {
        let mut frames = frames(&archive);
        change(&mut frames);
        refused.push((what, written(&frames)));
    }
    for (what, archive) in refused {
        let error = restore(&archive).unwrap_err();
        assert!(
            matches!(error, StorageError::BadSnapshot { .. }),
            "{what}: {error}"
        );
        assert!(!error.to_string().contains(path), "{what}: {error}");
    }
    assert_eq!(store.collections().len(), 1);
    let images = std::fs::read_dir(dir.path().join("images"))
        .unwrap()
        .count();
    assert_eq!(images, 1, "a rejected restore left its images");
}
