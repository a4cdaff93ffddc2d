//! Differences between families of models other than their towers: prompts, scales, optional files,
//! and unsupported features. `parity_figures` compares their embeddings.
#![allow(clippy::unwrap_used)] // clippy.toml allows it only inside of tests

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clipdb_embed::{
    DeviceChoice, EmbedError, Encoder, EncoderSettings, ModelSource, Precision, Priority, TextRole,
    TextTokenizer,
};
use safetensors::SafeTensors;
use serde_json::{Value, json};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("parity/golden")
        .join(name)
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn load(folder: &Path) -> Result<Encoder, EmbedError> {
    load_in(Precision::F32, folder)
}

fn load_in(precision: Precision, folder: &Path) -> Result<Encoder, EmbedError> {
    let settings = EncoderSettings {
        devices: DeviceChoice::Cpu.into(),
        precision,
        threads: 1,
        ..EncoderSettings::default()
    };
    Encoder::load(&ModelSource::folder(folder).unwrap(), &settings)
}

fn texts_of(folder: &str) -> Vec<String> {
    let expected = json_of(&golden(folder).join("expected.json"));
    serde_json::from_value(expected["texts"].clone()).unwrap()
}

/// All values of an expected output.
fn numbers(folder: &str, name: &str) -> Vec<f32> {
    let bytes = std::fs::read(golden(folder).join("expected.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = expected.tensor(name).unwrap();
    let (pieces, _) = tensor.data().as_chunks::<4>();
    pieces
        .iter()
        .map(|piece| f32::from_le_bytes(*piece))
        .collect()
}

fn largest_difference(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    let differences = one.iter().zip(other).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

async fn embed(encoder: &Encoder, texts: &[String], role: TextRole) -> Vec<f32> {
    let texts = texts.to_vec();
    let found = encoder.texts_as(texts, role, Priority::Search).await;
    let found = found.unwrap().into_iter();
    found.flat_map(|text| text.embedding.into_vec()).collect()
}

/// A copy of a golden folder with a modified `file`.
fn changed(folder: &str, file: &str, change: impl Fn(&mut Value)) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_all(&golden(folder), copy.path());
    let path = copy.path().join(file);
    let mut value = json_of(&path);
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
    copy
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy_all(&path, &to);
        } else {
            std::fs::copy(path, to).unwrap();
        }
    }
}

fn refusal(folder: &tempfile::TempDir) -> String {
    load(folder.path()).err().unwrap().to_string()
}

/// Each kind of tokenizer returns the tokens of the reference for 200 texts.
#[test]
fn tokens_are_those_of_the_reference() {
    let texts = json_of(&golden("tokens.json"));
    let texts: Vec<&str> = texts["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row[0].as_str().unwrap())
        .collect();
    let families = json_of(&golden("tokens-families.json"));
    for (folder, expected) in families.as_object().unwrap() {
        let context = usize::try_from(expected["context"].as_u64().unwrap()).unwrap();
        let tokenizer = std::fs::read(golden(folder).join("tokenizer.json")).unwrap();
        let tokens = TextTokenizer::from_json(&tokenizer, context).unwrap();
        let ids = expected["ids"].as_array().unwrap();
        assert_eq!(ids.len(), texts.len());
        for (text, ids) in texts.iter().zip(ids) {
            let wanted: Vec<u32> = serde_json::from_value(ids.clone()).unwrap();
            match tokens.encode(text) {
                Ok(found) => assert_eq!(found.ids, wanted, "{folder}: {text:?}"),
                Err(_) => assert!(wanted.is_empty(), "{folder}: {text:?}"),
            }
        }
    }
}

#[tokio::test]
async fn prompts_go_before_queries_and_documents() {
    for folder in ["sentence-xlm-roberta", "sentence-bert-cls"] {
        let encoder = load(&golden(folder)).unwrap();
        let texts = texts_of(folder);
        for (role, name) in [
            (TextRole::Query, "query_embeds"),
            (TextRole::Document, "document_embeds"),
            (TextRole::Other, "text_embeds"),
        ] {
            let found = embed(&encoder, &texts, role).await;
            let difference = largest_difference(&found, &numbers(folder, name));
            assert!(difference < 1e-4, "{folder} {name}: {difference}");
        }
    }
    let folder = "sentence-xlm-roberta";
    let (query, document) = (
        numbers(folder, "query_embeds"),
        numbers(folder, "document_embeds"),
    );
    assert!(largest_difference(&query, &document) > 1e-2);
}

/// E5's and BGE's folders on the hub do not contain their prompts, which are in the model cards.
#[tokio::test]
async fn prompts_that_a_folder_leaves_out_are_known_by_its_name() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("multilingual-e5-tiny");
    std::fs::create_dir(&folder).unwrap();
    copy_all(&golden("sentence-xlm-roberta"), &folder);
    std::fs::remove_file(folder.join("config_sentence_transformers.json")).unwrap();
    let encoder = load(&folder).unwrap();
    let texts = texts_of("sentence-xlm-roberta");
    let found = embed(&encoder, &texts, TextRole::Document).await;
    let wanted = numbers("sentence-xlm-roberta", "document_embeds");
    assert!(largest_difference(&found, &wanted) < 1e-4);
}

#[tokio::test]
async fn every_family_runs_in_half_precision() {
    for folder in [
        "open-clip-vit-b-32",
        "open-clip-rn50",
        "open-clip-roberta-vit-b",
        "siglip-base-patch16-224",
        "chinese-clip-vit-b-16",
        "m-clip-labse-vit-l-14",
        "sentence-labse",
    ] {
        for precision in [Precision::F16, Precision::Bf16] {
            // Fifty layers of random convolutions magnify the rounding of bf16 too much.
            if folder == "open-clip-rn50" && precision == Precision::Bf16 {
                continue;
            }
            let encoder = load_in(precision, &golden(folder)).unwrap();
            let texts = texts_of(folder);
            let mut found = embed(&encoder, &texts, TextRole::Other).await;
            let mut wanted = numbers(folder, "text_embeds");
            let expected = json_of(&golden(folder).join("expected.json"));
            for picture in expected["pictures"].as_array().unwrap() {
                let picture = std::fs::read(golden(picture.as_str().unwrap())).unwrap();
                let image = encoder.image(Bytes::from(picture), Priority::Search).await;
                found.extend(image.unwrap().embedding.into_vec());
            }
            if encoder.card().has_image {
                wanted.extend(numbers(folder, "image_embeds"));
            }
            assert_eq!(found.len(), wanted.len());
            let dim = encoder.card().dim;
            for (found, wanted) in found.chunks(dim).zip(wanted.chunks(dim)) {
                let cosine: f32 = found.iter().zip(wanted).map(|(a, b)| a * b).sum();
                assert!(cosine > 0.995, "{folder} in {precision}: {cosine}");
            }
        }
    }
}

#[tokio::test]
async fn a_model_of_sentences_refuses_pictures() {
    let encoder = load(&golden("sentence-roberta")).unwrap();
    let card = encoder.card();
    assert!(card.has_text && !card.has_image);
    assert_eq!(
        (card.dim, card.image_size, card.context_length),
        (48, 0, 48)
    );
    let picture = Bytes::from(std::fs::read(golden("clip-pictures/a.png")).unwrap());
    let refused = encoder.image(picture, Priority::Ingest).await;
    assert!(matches!(refused, Err(EmbedError::NoImageTower)));
}

#[tokio::test]
async fn sigmoid_models_tell_their_scale_and_bias() {
    let folder = "siglip-base-patch16-224";
    let encoder = load(&golden(folder)).unwrap();
    let card = encoder.card().clone();
    let texts = numbers(folder, "text_embeds");
    let images = numbers(folder, "image_embeds");
    let dim = card.dim;
    let mut logits = Vec::new();
    for text in texts.chunks(dim) {
        for image in images.chunks(dim) {
            let cosine: f32 = text.iter().zip(image).map(|(a, b)| a * b).sum();
            let logit = f64::from(cosine) * card.logit_scale + card.logit_bias.unwrap();
            logits.push(logit as f32);
        }
    }
    assert!(largest_difference(&logits, &numbers(folder, "logits")) < 1e-3);
    let softmax = load(&golden("open-clip-vit-b-32")).unwrap();
    assert_eq!(softmax.card().logit_bias, None);
    assert!((softmax.card().logit_scale - 1.0 / 0.07).abs() < 0.1);
}

#[test]
fn unsupported_features_are_rejected_by_name() {
    let open_clip = |change: fn(&mut Value)| {
        refusal(&changed(
            "open-clip-vit-b-16",
            "open_clip_config.json",
            change,
        ))
    };
    for (error, word) in [
        (
            open_clip(|it| it["model_cfg"]["vision_cfg"]["timm_model_name"] = json!("convnext")),
            "timm_model_name",
        ),
        (
            open_clip(|it| it["model_cfg"]["text_cfg"]["no_causal_mask"] = json!(true)),
            "no_causal_mask",
        ),
        (
            open_clip(|it| it["model_cfg"]["text_cfg"]["hf_model_name"] = json!("google/mt5-base")),
            "mt5-base",
        ),
        (
            open_clip(|it| it["preprocess_cfg"]["resize_mode"] = json!("longest")),
            "longest",
        ),
        (
            refusal(&changed(
                "sentence-roberta",
                "1_Pooling/config.json",
                |it| {
                    it["pooling_mode_mean_tokens"] = json!(false);
                    it["pooling_mode_lasttoken"] = json!(true);
                },
            )),
            "pooling_mode_lasttoken",
        ),
        (
            refusal(&changed("sentence-roberta", "modules.json", |it| {
                it[1]["type"] = json!("sentence_transformers.models.CNN");
            })),
            "CNN",
        ),
        (
            refusal(&changed("sentence-roberta", "modules.json", |it| {
                it[1]["path"] = json!("../1_Pooling");
            })),
            "plain folder name",
        ),
        (
            refusal(&changed(
                "m-clip-labse-vit-l-14",
                "text/config.json",
                |it| {
                    it["modelBase"] = json!("google/mt5");
                },
            )),
            "mt5",
        ),
        (
            refusal(&changed("siglip-base-patch16-224", "config.json", |it| {
                it["model_type"] = json!("siglip2");
            })),
            "siglip2",
        ),
    ] {
        assert!(error.contains(word), "{error}");
    }
}

#[tokio::test]
async fn a_pickle_is_read_without_safetensors() {
    let folder = changed("open-clip-vit-l-14", "open_clip_config.json", |_| {});
    std::fs::remove_file(folder.path().join("open_clip_model.safetensors")).unwrap();
    let error = refusal(&folder);
    assert!(error.contains("open_clip_pytorch_model.bin"), "{error}");
    copy_all(&golden("pickle"), folder.path());
    let encoder = load(folder.path()).unwrap();
    let texts = texts_of("open-clip-vit-l-14");
    let found = embed(&encoder, &texts, TextRole::Other).await;
    let wanted = numbers("open-clip-vit-l-14", "text_embeds");
    assert!(largest_difference(&found, &wanted) < 1e-4);
}

#[test]
fn a_tokenizer_in_another_format_is_named() {
    let folder = changed("siglip-base-patch16-224", "config.json", |_| {});
    let tokenizer = folder.path().join("tokenizer.json");
    std::fs::rename(tokenizer, folder.path().join("spiece.model")).unwrap();
    assert!(refusal(&folder).contains("spiece.model"));
}

#[test]
fn towers_of_different_models_are_rejected() {
    let folder = changed("m-clip-labse-vit-l-14", "text/config.json", |_| {});
    let image = folder.path().join("image");
    std::fs::remove_dir_all(&image).unwrap();
    std::fs::create_dir(&image).unwrap();
    copy_all(&golden("open-clip-vit-h-14"), &image);
    assert!(refusal(&folder).contains("another model"));
}
