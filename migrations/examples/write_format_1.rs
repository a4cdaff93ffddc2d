//! Writes the folder of format 1 that the tests migrate:
//! `cargo run --release -p clipdb-migrations --example write_format_1 -- migrations/tests/format-1`
//!
//! The layout is described in `m0002_checked_values`.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sled::Tree;

const DOCUMENTS: u64 = 150;
const IMAGE: &[u8] = b"not really a picture";
const IMAGE_HASH: &str = "fe1a4ab1fb6347036bead73597d5d2958b26ac0b96f68ca2f6dcee53a50f297e";

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args_os()
        .nth(1)
        .ok_or("name the folder to write")?;
    let dir = Path::new(&dir);
    fs::create_dir(dir)?;
    let db = sled::Config::new()
        .path(dir.join("sled"))
        .segment_size(4 << 20)
        .flush_every_ms(None)
        .open()?;
    db.open_tree("meta")?.insert("format", "1")?;

    let catalog = db.open_tree("catalog")?;
    catalog.insert("", "3")?;
    for (number, name) in [(1, "pictures"), (2, "empty")] {
        let definition =
            json!({"name": name, "model": "m", "dim": 4, "created_at": 1_700_000_000_000_u64});
        let entry = json!({"number": number, "definition": definition});
        catalog.insert(name, entry.to_string().as_bytes())?;
        db.open_tree(format!("documents-{number}"))?;
    }

    let pictures = db.open_tree("documents-1")?;
    for n in 0..DOCUMENTS {
        write_document(&pictures, n)?;
    }
    let counters = json!({"sequence": 12, "next_key": 2 * DOCUMENTS, "documents": DOCUMENTS});
    pictures.insert("n", counters.to_string().as_bytes())?;
    db.flush()?;

    let shard = dir.join("images/1").join(&IMAGE_HASH[..2]);
    fs::create_dir_all(&shard)?;
    fs::write(shard.join(IMAGE_HASH), IMAGE)?;
    Ok(())
}

/// Document `n` has the odd key 2n+1, a text unless n is 3 or 7, which have the image; the text of
/// the last one is too long for one part of format 2.
fn write_document(tree: &Tree, n: u64) -> Result<(), Box<dyn Error>> {
    let id = format!("doc-{n:03}");
    let key = 2 * n + 1;
    let key_bytes = key.to_be_bytes();
    let mut record = json!({
        "id": id,
        "key": key,
        "metadata": {"n": n, "third": n as f64 / 3.0},
        "created_at": 1_700_000_000_000 + n,
        "updated_at": 1_700_000_001_000 + n,
    });
    let kind = if n == 3 || n == 7 {
        record["image"] = json!({
            "hash": IMAGE_HASH, "media_type": "image/png", "width": 2, "height": 3, "bytes": IMAGE.len(),
        });
        tree.insert([b"r/", &unhex(IMAGE_HASH)?[..], &key_bytes].concat(), "")?;
        b"i"
    } else {
        let times = if n == DOCUMENTS - 1 { 10_000 } else { 1 };
        record["text"] = Value::from(format!("text {n} ").repeat(times));
        b"t"
    };
    tree.insert(format!("d/{id}"), record.to_string().as_bytes())?;
    tree.insert([b"k/", &key_bytes[..]].concat(), id.as_str())?;
    let vector = [n as f32, 0.5, -1.0, 1.0 / 3.0];
    let vector: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    tree.insert([b"v/", &key_bytes[..], kind].concat(), vector)?;
    Ok(())
}

fn unhex(hex: &str) -> Result<Vec<u8>, std::num::ParseIntError> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16))
        .collect()
}
