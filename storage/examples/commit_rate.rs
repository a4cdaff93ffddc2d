//! Measures how many documents per second one collection commits durably, by group size:
//! `cargo run --release -p clipdb-storage --example commit_rate -- [FOLDER]`
//!
//! Each document has a vector of 2 KB and its own image of 20 KB. FOLDER selects the disk; the default
//! is the temporary folder of the system.

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clipdb_storage::{
    CollectionDefinition, CollectionName, CollectionStore, DocumentId, Metadata, NewDocument,
    NewImage, Store, StoreOptions, VectorKind, Write,
};

const DIM: usize = 512;
const IMAGE_BYTES: usize = 20 << 10;
const MAX_DOCUMENTS: usize = 4096;
const MAX_DURATION: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn Error>> {
    let parent = std::env::args_os().nth(1);
    let parent = parent.map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::tempdir_in(parent)?;
    let store = Store::open(dir.path(), &StoreOptions::default())?;
    println!(
        "| documents per group | images | documents/s | commits/s | median commit, ms | slowest, ms |"
    );
    println!("|---|---|---|---|---|---|");
    for with_image in [true, false] {
        for group in [1, 16, 256] {
            let kind = if with_image { "images" } else { "texts" };
            let name: CollectionName = format!("{kind}-{group}").parse()?;
            store.create_collection(CollectionDefinition::new(name.clone(), "m", DIM))?;
            measure(&store.collection(&name)?, group, with_image)?;
        }
    }
    drop(store);
    let start = Instant::now();
    Store::open(dir.path(), &StoreOptions::default())?;
    println!(
        "\nreopening the folder: {:.2} s",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

fn measure(
    collection: &CollectionStore,
    group: usize,
    with_image: bool,
) -> Result<(), Box<dyn Error>> {
    let mut seed = 1;
    let mut commits = Vec::new();
    let start = Instant::now();
    while commits.len() * group < MAX_DOCUMENTS && start.elapsed() < MAX_DURATION {
        let writes = (0..group)
            .map(|_| document(&mut seed, with_image))
            .collect();
        let started = Instant::now();
        collection.commit(writes)?;
        commits.push(started.elapsed());
    }
    commits.sort();
    let busy = commits.iter().sum::<Duration>().as_secs_f64();
    println!(
        "| {group} | {} | {:.0} | {:.1} | {:.1} | {:.1} |",
        if with_image { "20 KB each" } else { "none" },
        (commits.len() * group) as f64 / busy,
        commits.len() as f64 / busy,
        commits[commits.len() / 2].as_secs_f64() * 1e3,
        commits[commits.len() - 1].as_secs_f64() * 1e3,
    );
    Ok(())
}

fn document(seed: &mut u64, with_image: bool) -> Write {
    let mut random = || {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *seed >> 33
    };
    let vector = (0..DIM)
        .map(|_| random() as f32 / (1_u64 << 31) as f32)
        .collect();
    let image = with_image.then(|| NewImage {
        bytes: Bytes::from((0..IMAGE_BYTES).map(|_| random() as u8).collect::<Vec<_>>()),
        media_type: "image/jpeg".into(),
        width: 224,
        height: 224,
    });
    Write::Put(NewDocument {
        id: DocumentId::generate(),
        text: Some("a photo of something to measure with".into()),
        text_truncated: false,
        passages: Vec::new(),
        image,
        metadata: Metadata::new(),
        vectors: vec![(VectorKind::Image, vector)],
    })
}
