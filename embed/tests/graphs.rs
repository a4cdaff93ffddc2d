//! Folders with ONNX graphs: sentence models, f16, SigLIP, logit scales. `embeddings` compares the
//! plain ones.
#![allow(clippy::unwrap_used)] // clippy.toml allows it only inside of tests

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clipdb_embed::{
    DeviceChoice, EmbedError, Encoder, EncoderSettings, EngineChoice, ModelSource, Priority,
    TextRole,
};
use safetensors::SafeTensors;
use serde_json::{Value, json};

const SENTENCE: &str = "onnx-sentence";
const SIGLIP: &str = "onnx-siglip";
const F16: &str = "onnx-fp16";
const CHINESE: &str = "onnx-chinese-clip";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("parity/golden")
        .join(name)
}

/// A copy of a golden folder without the files `except`.
fn copy(folder: &str, except: &[&str]) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_all(&golden(folder), copy.path(), except);
    copy
}

fn copy_all(from: &Path, to: &Path, except: &[&str]) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_all(&path, &target, except);
        } else if !except.iter().any(|name| entry.file_name() == *name) {
            std::fs::copy(path, target).unwrap();
        }
    }
}

fn change(file: &Path, change: impl Fn(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(file, value.to_string()).unwrap();
}

fn load(folder: &Path, engine: EngineChoice) -> Result<Encoder, EmbedError> {
    let cache = std::env::var_os("CLIPDB_CACHE").map_or_else(
        || Path::new(&std::env::var_os("HOME").unwrap()).join(".cache/clipdb"),
        PathBuf::from,
    );
    let settings = EncoderSettings {
        devices: DeviceChoice::Cpu.into(),
        engine,
        threads: 1,
        // The location that `setup.sh test` installs it to.
        onnx_runtime: Some(cache.join("onnxruntime/libonnxruntime.so")),
        ..EncoderSettings::default()
    };
    Encoder::load(&ModelSource::folder(folder).unwrap(), &settings)
}

fn graphs(folder: &Path) -> Encoder {
    let encoder = load(folder, EngineChoice::Onnx).unwrap();
    assert_eq!(encoder.card().engine, "ONNX Runtime");
    encoder
}

/// All values of an expected output.
fn wanted(folder: &str, name: &str) -> Vec<f32> {
    let bytes = std::fs::read(golden(folder).join("expected.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = expected.tensor(name).unwrap();
    let (pieces, _) = tensor.data().as_chunks::<4>();
    let numbers = pieces.iter().map(|piece| f32::from_le_bytes(*piece));
    numbers.collect()
}

async fn texts(encoder: &Encoder, folder: &str, role: TextRole) -> Vec<f32> {
    let expected = std::fs::read(golden(folder).join("expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let texts: Vec<String> = serde_json::from_value(expected["texts"].clone()).unwrap();
    let found = encoder.texts_as(texts, role, Priority::Search).await;
    let found = found.unwrap().into_iter();
    found.flat_map(|text| text.embedding.into_vec()).collect()
}

async fn images(encoder: &Encoder, folder: &str) -> Vec<f32> {
    let expected = std::fs::read(golden(folder).join("expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let mut values = Vec::new();
    for image in expected["pictures"].as_array().unwrap() {
        let bytes = Bytes::from(std::fs::read(golden(image.as_str().unwrap())).unwrap());
        let found = encoder.image(bytes, Priority::Ingest).await.unwrap();
        values.extend(found.embedding.into_vec());
    }
    values
}

fn largest_difference(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    let differences = one.iter().zip(other).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

fn smallest_cosine(one: &[f32], other: &[f32], dim: usize) -> f32 {
    assert_eq!(one.len(), other.len());
    let rows = one.chunks(dim).zip(other.chunks(dim));
    let cosines = rows.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum());
    cosines.fold(1.0, f32::min)
}

#[tokio::test]
async fn chinese_clip_truncates_texts_and_squashes_images() {
    let encoder = graphs(&golden(CHINESE));
    assert_eq!(encoder.card().context_length, 52);
    let found = texts(&encoder, CHINESE, TextRole::Other).await;
    let difference = largest_difference(&found, &wanted(CHINESE, "text_embeds"));
    println!("Chinese-CLIP, texts: {difference:.1e}");
    assert!(difference < 1e-4, "texts: {difference}");
    let found = images(&encoder, CHINESE).await;
    let difference = largest_difference(&found, &wanted(CHINESE, "image_embeds"));
    println!("Chinese-CLIP, images: {difference:.1e}");
    assert!(difference < 1e-4, "images: {difference}");
}

/// A copy of the sentence model with `graph` as its `onnx/model.onnx`.
fn sentences_by(graph: &str) -> tempfile::TempDir {
    let folder = copy(SENTENCE, &["model.onnx", "model_fp16.onnx"]);
    let graphs = folder.path().join("onnx");
    std::fs::copy(
        golden(SENTENCE).join("onnx").join(graph),
        graphs.join("model.onnx"),
    )
    .unwrap();
    folder
}

#[tokio::test]
async fn a_sentence_model_is_pooled_here_or_in_its_graph() {
    for graph in ["model.onnx", "model_pooled.onnx"] {
        let folder = sentences_by(graph);
        let encoder = graphs(folder.path());
        for (role, name) in [
            (TextRole::Query, "query_embeds"),
            (TextRole::Document, "document_embeds"),
            (TextRole::Other, "text_embeds"),
        ] {
            let found = texts(&encoder, SENTENCE, role).await;
            let difference = largest_difference(&found, &wanted(SENTENCE, name));
            println!("{graph}, {name}: {difference:.1e}");
            assert!(difference < 1e-4, "{graph} {name}: {difference}");
        }
        let card = encoder.card();
        assert_eq!((card.dim, card.context_length), (12, 48));
        assert_eq!((card.precision.as_str(), card.has_image), ("f32", false));
        assert_eq!((card.logit_scale, card.logit_scale_assumed), (20.0, true));
        let picture = std::fs::read(golden("clip-pictures/a.png")).unwrap();
        let refused = encoder.image(Bytes::from(picture), Priority::Ingest).await;
        assert!(matches!(refused, Err(EmbedError::NoImageTower)));
    }
}

#[tokio::test]
async fn both_engines_pool_alike() {
    for mean in [true, false] {
        let folder = copy(SENTENCE, &[]);
        change(&folder.path().join("1_Pooling/config.json"), |config| {
            config["pooling_mode_mean_tokens"] = json!(mean);
            config["pooling_mode_cls_token"] = json!(!mean);
        });
        let mut found = Vec::new();
        for engine in [EngineChoice::LibTorch, EngineChoice::Onnx] {
            let encoder = load(folder.path(), engine).unwrap();
            found.push(texts(&encoder, SENTENCE, TextRole::Query).await);
        }
        let difference = largest_difference(&found[0], &found[1]);
        assert!(difference < 1e-4, "{difference}");
        let difference = largest_difference(&found[0], &wanted(SENTENCE, "query_embeds"));
        assert_eq!(difference < 1e-4, mean, "{difference}");
    }
}

#[tokio::test]
async fn one_row_per_token_requires_a_pooling() {
    let folder = copy(SENTENCE, &["modules.json"]);
    let error = load(folder.path(), EngineChoice::Onnx).err().unwrap();
    let error = error.to_string();
    for part in ["last_hidden_state", "modules.json", "1_Pooling"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn positions_before_the_first_token_are_not_counted() {
    let folder = copy(SENTENCE, &["sentence_bert_config.json"]);
    let context = || graphs(folder.path()).card().context_length;
    assert_eq!(context(), 64);
    change(&folder.path().join("config.json"), |config| {
        config["model_type"] = json!("xlm-roberta");
        config["pad_token_id"] = json!(1);
    });
    assert_eq!(context(), 62);
}

#[tokio::test]
async fn f16_graphs_are_used_without_f32_ones() {
    assert_eq!(graphs(&golden(SENTENCE)).card().precision, "f32");
    let without = copy(SENTENCE, &["model.onnx"]);
    let pooled = sentences_by("model_fp16_pooled.onnx");
    for folder in [&without, &pooled] {
        let encoder = graphs(folder.path());
        assert_eq!(encoder.card().precision, "f16");
        let found = texts(&encoder, SENTENCE, TextRole::Other).await;
        let cosine = smallest_cosine(&found, &wanted(SENTENCE, "text_embeds"), 12);
        assert!(cosine > 0.999, "{cosine}");
    }
    let encoder = graphs(&golden(F16));
    let dim = encoder.card().dim;
    assert_eq!(encoder.card().precision, "f16");
    let (texts, images) = (
        texts(&encoder, F16, TextRole::Other).await,
        images(&encoder, F16).await,
    );
    let cosine = smallest_cosine(&texts, &wanted(F16, "text_embeds"), dim);
    println!("CLIP in f16, cosine of texts: {cosine}");
    assert!(cosine > 0.999, "texts: {cosine}");
    let cosine = smallest_cosine(&images, &wanted(F16, "image_embeds"), dim);
    println!("CLIP in f16, cosine of images: {cosine}");
    assert!(cosine > 0.999, "images: {cosine}");
}

#[test]
fn a_logit_scale_is_read_or_assumed() {
    for (folder, scale, within, assumed) in [
        ("onnx-optimum", 1.0 / 0.07, 0.01, false),
        (F16, 37.5, 0.1, false),
        ("onnx-clip-as-service", 100.0, 0.0, true),
    ] {
        let card = graphs(&golden(folder)).card().clone();
        let found = card.logit_scale;
        assert!((found - scale).abs() <= within, "{folder}: {found}");
        assert_eq!(card.logit_scale_assumed, assumed, "{folder}");
        assert_eq!(card.logit_bias, None);
    }
}

#[tokio::test]
async fn siglip_may_be_one_graph_or_two() {
    let pair = ["text_model.onnx", "vision_model.onnx"];
    for (except, has_scale) in [
        (&[][..], true),
        (&pair[..], true),
        (&["model.onnx"][..], false),
    ] {
        let folder = copy(SIGLIP, except);
        let encoder = graphs(folder.path());
        let found = texts(&encoder, SIGLIP, TextRole::Other).await;
        let difference = largest_difference(&found, &wanted(SIGLIP, "text_embeds"));
        println!("SigLIP without {except:?}, texts: {difference:.1e}");
        assert!(difference < 1e-4, "texts without {except:?}: {difference}");
        let found = images(&encoder, SIGLIP).await;
        let difference = largest_difference(&found, &wanted(SIGLIP, "image_embeds"));
        println!("SigLIP without {except:?}, images: {difference:.1e}");
        assert!(difference < 1e-4, "images without {except:?}: {difference}");
        let card = encoder.card();
        assert_eq!(card.logit_scale_assumed, !has_scale);
        if has_scale {
            assert!((card.logit_scale - 4.7_f64.exp()).abs() < 0.01);
            assert!((card.logit_bias.unwrap() + 12.9).abs() < 0.01);
        }
    }
}
