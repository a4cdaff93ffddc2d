//! The files of a collection's vectors: one of them is replaced, its checksum corrected, and the
//! vectors are opened and searched. The first byte chooses the file: the codes that a graph is
//! walked by, the rows, the removals, the full vectors, or the manifest itself. Unless its highest
//! bit is set, the bytes are repeated to the length of the original file, so that inputs are small.
//!
//! FAISS's own file is left alone: FAISS trusts it, and the checksum is what protects it.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use clipdb_index::fuzzing::search_vectors;
use clipdb_index::{
    CollectionIndex, Configuration, IndexKind, OwnedRow, RowId, VectorKind, VectorSettings,
};
use serde_json::{Map, Value};
use tempfile::TempDir;

const DIM: usize = 8;
/// Enough for a graph.
const VECTORS: usize = 1024;
const SETTINGS: VectorSettings = VectorSettings {
    kind: IndexKind::Hnsw,
    m: 4,
    ef_construction: 16,
    ef: 16,
    nlist: None,
    nprobe: None,
    pq_m: None,
    seal_at: VECTORS,
};

/// The folder, and its files as they were written.
struct Saved {
    folder: TempDir,
    files: Vec<(String, Vec<u8>)>,
}

static SAVED: LazyLock<Saved> = LazyLock::new(|| {
    let folder = clipdb_fuzz::folder();
    let configuration = Configuration {
        vectors: SETTINGS,
        ..Configuration::new(DIM)
    };
    let (index, _) = CollectionIndex::open(folder.path(), &configuration).expect("an empty index");
    let rows: Vec<OwnedRow> = (0..VECTORS).map(row).collect();
    let rows: Vec<_> = rows.iter().map(OwnedRow::as_row).collect();
    index.apply(&[], &rows, 1).expect("a write");
    index.apply(&[RowId(7)], &[], 2).expect("a removal");
    index.wait_for_builds();
    index.close().expect("a save");
    drop(index);
    let files = fs::read_dir(folder.path().join("vectors"))
        .expect("the vectors' folder")
        .map(|entry| {
            let entry = entry.expect("a file of vectors");
            let bytes = fs::read(entry.path()).expect("its bytes");
            (entry.file_name().to_string_lossy().into_owned(), bytes)
        })
        .collect();
    Saved { folder, files }
});

/// Always the same vectors, of length 1.
fn row(number: usize) -> OwnedRow {
    let vector: Vec<f32> = (0..DIM)
        .map(|at| ((number * 31 + at * 17) % 101) as f32 - 50.0)
        .collect();
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    OwnedRow {
        id: RowId(number as u64 + 1),
        document: number.to_string(),
        text: None,
        metadata: Map::new(),
        vectors: vec![(
            VectorKind::Text,
            vector.iter().map(|x| x / length).collect(),
        )],
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    let (extension, checksum) = match (choice & 0x7f) % 5 {
        0 => ("codes", "/index/codes_crc"),
        1 => ("ids", "/ids_crc"),
        2 => ("live", ""),
        3 => ("vectors", "/vectors_crc"),
        _ => ("manifest", ""),
    };
    let fitted = |bytes: &[u8], length: usize| -> Vec<u8> {
        if *choice >= 0x80 || bytes.is_empty() {
            return bytes.to_vec();
        }
        bytes.iter().copied().cycle().take(length).collect()
    };
    let saved = &*SAVED;
    let folder = saved.folder.path().join("fuzzed");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).expect("room in memory");
    for (name, original) in &saved.files {
        let is_chosen = name.ends_with(extension);
        let replaced = match extension {
            "manifest" if is_chosen => with_checksum(bytes),
            "live" if is_chosen => {
                let bits = fitted(bytes, original.len() - 4);
                [&bits[..], &crc32fast::hash(&bits).to_le_bytes()].concat()
            }
            _ if is_chosen => fitted(bytes, original.len()),
            _ if name == "manifest" && !checksum.is_empty() => {
                let mut manifest = body(original);
                let entry = manifest
                    .pointer_mut(&format!("/segments/0/entry{checksum}"))
                    .expect("a checksum in the manifest");
                let chosen = saved
                    .files
                    .iter()
                    .find(|(name, _)| name.ends_with(extension));
                let length = chosen.map_or(0, |(_, original)| original.len());
                *entry = crc32fast::hash(&fitted(bytes, length)).into();
                with_checksum(manifest.to_string().as_bytes())
            }
            _ => original.clone(),
        };
        fs::write(folder.join(name), replaced).expect("room in memory");
    }
    let OwnedRow { vectors, .. } = row(3);
    let _ = search_vectors(&folder, SETTINGS, &vectors[0].1);
});

fn body(manifest: &[u8]) -> Value {
    let line = manifest.split(|byte| *byte == b'\n').next();
    serde_json::from_slice(line.unwrap_or_default()).expect("the manifest is JSON")
}

/// A manifest and the line behind it that holds its checksum.
fn with_checksum(body: &[u8]) -> Vec<u8> {
    let crc = format!("\n{:08x}\n", crc32fast::hash(body));
    [body, crc.as_bytes()].concat()
}
