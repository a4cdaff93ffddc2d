//! Compares embeddings of complete models with the reference implementations (`parity/`).
//! `parity_figures` covers every family, and CUDA.
#![allow(clippy::unwrap_used)] // clippy.toml allows it only inside of tests

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clipdb_embed::{
    DeviceChoice, EmbedError, Encoder, EncoderSettings, EngineChoice, ModelSource, Precision,
    Priority,
};
use safetensors::SafeTensors;
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("parity/golden")
        .join(name)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn load(source: &ModelSource, device: DeviceChoice, precision: Precision) -> Encoder {
    let settings = EncoderSettings {
        devices: device.into(),
        precision,
        threads: 1,
        onnx_runtime: Some(onnx_runtime()),
        ..EncoderSettings::default()
    };
    Encoder::load(source, &settings).unwrap()
}

/// The location that `setup.sh test` installs it to.
fn onnx_runtime() -> PathBuf {
    let cache = std::env::var_os("CLIPDB_CACHE").map_or_else(
        || Path::new(&std::env::var_os("HOME").unwrap()).join(".cache/clipdb"),
        PathBuf::from,
    );
    cache.join("onnxruntime/libonnxruntime.so")
}

fn max_difference(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    let differences = one.iter().zip(other).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

/// Rows of a tensor of the expected outputs.
fn rows(expected: &SafeTensors<'_>, name: &str) -> Vec<Vec<f32>> {
    let tensor = expected.tensor(name).unwrap();
    let (pieces, _) = tensor.data().as_chunks::<4>();
    let numbers: Vec<f32> = pieces
        .iter()
        .map(|piece| f32::from_le_bytes(*piece))
        .collect();
    numbers
        .chunks(tensor.shape()[1])
        .map(<[f32]>::to_vec)
        .collect()
}

/// The actual and the expected embedding of each text and image of a folder.
async fn pairs(folder: &str, encoder: &Encoder) -> Vec<(Vec<f32>, Vec<f32>)> {
    let inputs = json(&golden(folder).join("expected.json"));
    let bytes = std::fs::read(golden(folder).join("expected.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    let texts: Vec<String> = serde_json::from_value(inputs["texts"].clone()).unwrap();
    // Only the last text exceeds the context.
    let cut: Vec<bool> = (1..=texts.len())
        .map(|number| number == texts.len())
        .collect();
    let found = encoder.texts(texts, Priority::Search).await.unwrap();
    let truncated: Vec<bool> = found.iter().map(|text| text.truncated).collect();
    assert_eq!(truncated, cut);
    let mut pairs: Vec<_> = found
        .into_iter()
        .map(|text| text.embedding.into_vec())
        .zip(rows(&expected, "text_embeds"))
        .collect();
    let images: Vec<String> = serde_json::from_value(inputs["pictures"].clone()).unwrap();
    for (name, wanted) in images.iter().zip(rows(&expected, "image_embeds")) {
        let image = std::fs::read(golden(name)).unwrap();
        let found = encoder
            .image(Bytes::from(image), Priority::Ingest)
            .await
            .unwrap();
        assert_eq!((found.info.width, found.info.height), (224, 224));
        pairs.push((found.embedding.into_vec(), wanted));
    }
    pairs
}

async fn compare(folder: &str, device: DeviceChoice, tolerance: f32) {
    let source = ModelSource::folder(&golden(folder)).unwrap();
    let encoder = load(&source, device, Precision::F32);
    for (found, wanted) in pairs(folder, &encoder).await {
        let difference = max_difference(&found, &wanted);
        assert!(difference < tolerance, "{folder} on {device}: {difference}");
    }
}

async fn compare_halves(folder: &str, device: DeviceChoice) {
    let source = ModelSource::folder(&golden(folder)).unwrap();
    for precision in [Precision::F16, Precision::Bf16] {
        let encoder = load(&source, device, precision);
        for (found, wanted) in pairs(folder, &encoder).await {
            let cosine = cosine(&found, &wanted);
            assert!(
                cosine >= 0.999,
                "{folder} in {precision} on {device}: {cosine}"
            );
        }
    }
}

const CLIPS: [&str; 3] = [
    "clip-vit-base-patch32",
    "clip-vit-base-patch16",
    "clip-vit-large-patch14",
];

#[tokio::test]
async fn clip_agrees_with_transformers() {
    for folder in CLIPS {
        compare(folder, DeviceChoice::Cpu, 1e-4).await;
    }
}

#[tokio::test]
async fn graphs_on_onnx_runtime_agree_with_transformers() {
    for folder in ["onnx-clip-as-service", "onnx-optimum"] {
        let source = ModelSource::folder(&golden(folder)).unwrap();
        let encoder = load(&source, DeviceChoice::Cpu, Precision::F32);
        assert_eq!(encoder.card().engine, "ONNX Runtime", "{folder}");
        compare(folder, DeviceChoice::Cpu, 1e-4).await;
    }
}

#[tokio::test]
async fn both_engines_give_the_same_vectors() {
    let folder = copy("onnx-optimum", "nothing");
    let weights = golden(CLIPS[0]);
    for entry in std::fs::read_dir(weights).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("model") {
            std::fs::copy(entry.path(), folder.path().join(name)).unwrap();
        }
    }
    let source = ModelSource::folder(folder.path()).unwrap();
    let mut found = Vec::new();
    for engine in [EngineChoice::Auto, EngineChoice::Onnx] {
        let settings = EncoderSettings {
            engine,
            devices: DeviceChoice::Cpu.into(),
            onnx_runtime: Some(onnx_runtime()),
            ..EncoderSettings::default()
        };
        let encoder = Encoder::load(&source, &settings).unwrap();
        let pairs = pairs("onnx-optimum", &encoder).await;
        found.push((encoder.card().engine.clone(), pairs));
    }
    assert_eq!((&*found[0].0, &*found[1].0), ("LibTorch", "ONNX Runtime"));
    for ((one, _), (other, _)) in found[0].1.iter().zip(&found[1].1) {
        let difference = max_difference(one, other);
        assert!(difference < 1e-4, "{difference}");
    }
}

#[tokio::test]
async fn half_precision_has_a_high_cosine() {
    for folder in CLIPS {
        compare_halves(folder, DeviceChoice::Cpu).await;
    }
}

#[tokio::test]
async fn the_bundled_models_agree_with_their_reference() {
    let nowhere = Path::new("/nonexistent");
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    for (name, dim, license) in [
        ("clipdb-multilingual", 576, "Apache-2.0 AND MIT"),
        ("clipdb-mini", 384, "Apache-2.0"),
    ] {
        let source = ModelSource::resolve(name, nowhere).unwrap();
        let encoder = load(&source, DeviceChoice::Cpu, Precision::F32);
        let card = encoder.card();
        assert_eq!(
            (card.dim, card.image_size, card.context_length),
            (dim, 260, 256)
        );
        assert_eq!(card.license.as_deref(), Some(license));
        let golden = json(&models.join(name).join("golden.json"));
        let vector = |value: &Value| -> Vec<f32> { serde_json::from_value(value.clone()).unwrap() };
        for text in golden["texts"].as_array().unwrap() {
            let words = text["text"].as_str().unwrap().to_owned();
            let found = encoder.texts(vec![words], Priority::Search).await.unwrap();
            // clipdb-mini's reference uses f32 weights, the bundled model f16.
            let cosine = cosine(found[0].embedding.as_slice(), &vector(&text["embedding"]));
            assert!(cosine >= 0.9999, "{name}, {}: {cosine}", text["text"]);
        }
        for image in golden["images"].as_array().unwrap() {
            let file = Path::new(image["file"].as_str().unwrap())
                .file_name()
                .unwrap();
            let bytes = std::fs::read(models.join("clipdb-mini/golden").join(file)).unwrap();
            let found = encoder
                .image(Bytes::from(bytes), Priority::Search)
                .await
                .unwrap();
            // Pixels may differ from Pillow's by one or two levels.
            let cosine = cosine(found.embedding.as_slice(), &vector(&image["embedding"]));
            assert!(cosine >= 0.9999, "{name}, {}: {cosine}", image["file"]);
        }
    }
    // The same files in a folder are the same model.
    let bundled = ModelSource::resolve("clipdb-mini", nowhere).unwrap();
    let folder = ModelSource::folder(&models.join("clipdb-mini")).unwrap();
    let [bundled, folder] =
        [bundled, folder].map(|source| load(&source, DeviceChoice::Cpu, Precision::F32));
    assert_eq!(folder.card(), bundled.card());
}

#[tokio::test]
async fn a_text_of_two_networks_has_the_same_vector_alone_and_in_a_batch() {
    let source = ModelSource::resolve("clipdb-multilingual", Path::new("")).unwrap();
    let encoder = load(&source, DeviceChoice::Cpu, Precision::F32);
    let texts: Vec<String> = [
        "dog",
        "",
        "кошка на диване",
        "a longer text about the sea and ships",
    ]
    .map(str::to_owned)
    .to_vec();
    let together = encoder
        .texts(texts.clone(), Priority::Ingest)
        .await
        .unwrap();
    for (text, together) in texts.into_iter().zip(together) {
        let alone = encoder.texts(vec![text], Priority::Search).await.unwrap();
        let (one, other) = (&alone[0].embedding, &together.embedding);
        assert!(max_difference(one.as_slice(), other.as_slice()) < 1e-5);
    }
}

#[tokio::test]
async fn one_bad_input_fails_alone() {
    let source = ModelSource::folder(&golden(CLIPS[0])).unwrap();
    let encoder = load(&source, DeviceChoice::Cpu, Precision::F32);
    let picture = std::fs::read(golden("clip-pictures/a.png")).unwrap();
    let good = Bytes::from(picture.clone());
    let bad = Bytes::from(picture[..picture.len() / 2].to_vec());
    let (one, broken, other, foreign) = tokio::join!(
        encoder.image(good.clone(), Priority::Ingest),
        encoder.image(bad, Priority::Ingest),
        encoder.image(good, Priority::Ingest),
        encoder.image(Bytes::from_static(b"not an image"), Priority::Ingest),
    );
    assert!(matches!(broken, Err(EmbedError::Image(_))));
    assert!(matches!(foreign, Err(EmbedError::Image(_))));
    assert_eq!(one.unwrap().embedding, other.unwrap().embedding);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_inputs_than_queue_permits_are_all_answered() {
    let source = ModelSource::folder(&golden(CLIPS[0])).unwrap();
    let settings = EncoderSettings {
        devices: DeviceChoice::Cpu.into(),
        threads: 1,
        queue_capacity: 2,
        ..EncoderSettings::default()
    };
    let encoder = Encoder::load(&source, &settings).unwrap();
    let texts: Vec<String> = (0..100).map(|number| format!("number {number}")).collect();
    let found = encoder.texts(texts, Priority::Ingest).await.unwrap();
    assert_eq!(found.len(), 100);
    let alone = encoder
        .texts(vec!["number 42".to_owned()], Priority::Search)
        .await
        .unwrap();
    let difference = max_difference(
        found[42].embedding.as_slice(),
        alone[0].embedding.as_slice(),
    );
    assert!(
        difference < 1e-5,
        "a batch changes the result: {difference}"
    );
    let statistics = encoder.statistics();
    assert_eq!((statistics.texts, statistics.failed), (101, 0));
    assert_eq!(
        (statistics.waiting_search, statistics.waiting_ingest),
        (0, 0)
    );
}

/// A copy of a golden folder without the file `except`.
fn copy(folder: &str, except: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(golden(folder))
        .unwrap()
        .map(Result::unwrap)
    {
        if entry.file_name() != except {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    copy
}

fn load_error(folder: &Path) -> String {
    let source = ModelSource::folder(folder).unwrap();
    let settings = EncoderSettings {
        devices: DeviceChoice::Cpu.into(),
        ..EncoderSettings::default()
    };
    Encoder::load(&source, &settings).err().unwrap().to_string()
}

#[test]
fn a_corrupt_file_is_named() {
    for file in [
        "preprocessor_config.json",
        "tokenizer.json",
        "model.safetensors",
    ] {
        let folder = copy(CLIPS[1], file);
        let error = load_error(folder.path());
        assert!(error.contains(file), "{error}");
    }
    let folder = copy(CLIPS[1], "tokenizer.json");
    std::fs::write(folder.path().join("vocab.json"), "{}").unwrap();
    std::fs::write(folder.path().join("merges.txt"), "").unwrap();
    assert!(load_error(folder.path()).contains("merges.txt"));

    let folder = copy(CLIPS[1], "");
    let weights = folder.path().join("model.safetensors");
    let whole = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &whole[..whole.len() - 1]).unwrap();
    let error = load_error(folder.path());
    assert!(error.contains("its header promises"), "{error}");
    std::fs::write(&weights, b"\xff\xff\xff\xff\xff\xff\xff\xff").unwrap();
    assert!(load_error(folder.path()).contains("model.safetensors"));
    std::fs::write(
        folder.path().join("config.json"),
        r#"{"model_type": "blip"}"#,
    )
    .unwrap();
    std::fs::write(&weights, &whole).unwrap();
    let error = load_error(folder.path());
    assert!(
        error.contains("blip") && error.contains("chinese_clip"),
        "{error}"
    );
}

#[test]
fn a_folder_without_a_model_is_unavailable() {
    let empty = tempfile::tempdir().unwrap();
    for name in [empty.path().to_str().unwrap(), "no-such-model"] {
        assert!(matches!(
            ModelSource::resolve(name, empty.path()),
            Err(EmbedError::ModelUnavailable { .. })
        ));
    }
}
