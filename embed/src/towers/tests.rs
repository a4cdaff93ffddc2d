//! Compares single towers with the reference implementations (`parity/`). Complete models are
//! compared in `tests/embeddings.rs`.

use std::path::PathBuf;

use safetensors::SafeTensors;
use serde_json::{Value, json};

use tch::{Device, Kind, Tensor};

use super::*;
use crate::DeviceChoice;
use crate::device;
use crate::image::{ImageLimits, Preprocessor};
use crate::sources::{ModelFiles, TRANSFORMERS_WEIGHTS};
use crate::weights::Weights;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("parity/golden")
        .join(name)
}

fn numbers(expected: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let (pieces, _) = expected.tensor(name).unwrap().data().as_chunks::<4>();
    pieces
        .iter()
        .map(|piece| f32::from_le_bytes(*piece))
        .collect()
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor
        .to_device(Device::Cpu)
        .to_kind(Kind::Float)
        .contiguous();
    Vec::try_from(&tensor.view(-1)).unwrap()
}

fn max_difference(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    one.iter()
        .zip(other)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

/// The CPU, and CUDA if available, each with its tolerance.
fn devices() -> Vec<(Device, f32)> {
    let mut devices = vec![(Device::Cpu, 1e-4)];
    let found = device::choose(DeviceChoice::Auto).unwrap().device;
    if found != Device::Cpu {
        devices.push((found, 1e-3));
    } else {
        clipdb_skip::report_skip("no GPU, compared on the CPU only");
    }
    devices
}

#[test]
fn bert_agrees_with_transformers() {
    let files = ModelFiles::Folder(golden("bert"));
    let bytes = std::fs::read(golden("bert/expected.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    let integers = |name: &str| -> Vec<i64> {
        let (pieces, _) = expected.tensor(name).unwrap().data().as_chunks::<8>();
        pieces
            .iter()
            .map(|piece| i64::from_le_bytes(*piece))
            .collect()
    };
    let length = expected.tensor("input_ids").unwrap().shape()[1];
    let (ids, mask) = (integers("input_ids"), integers("attention_mask"));
    let rows: Vec<Vec<u32>> = ids
        .chunks(length)
        .zip(mask.chunks(length))
        .map(|(ids, mask)| {
            let real = ids.iter().zip(mask).filter(|(_, real)| **real == 1);
            real.map(|(id, _)| u32::try_from(*id).unwrap()).collect()
        })
        .collect();
    let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
    for (device, tolerance) in devices() {
        let weights = Weights::open(&files, &TRANSFORMERS_WEIGHTS, device, Kind::Float).unwrap();
        let config: Value = files.json("config.json").unwrap();
        let tower = text_tower("bert", config, &weights.at("")).unwrap();
        let together = tower
            .forward(&TokenBatch::new(rows.clone(), device).unwrap(), &|| ())
            .unwrap();
        let alone: Vec<Tensor> = rows
            .iter()
            .map(|row| {
                tower
                    .forward(&TokenBatch::new(vec![row], device).unwrap(), &|| ())
                    .unwrap()
            })
            .collect();
        for features in [together, Tensor::cat(&alone, 0)] {
            let norm = features.norm_scalaropt_dim(2.0, [1i64].as_slice(), true);
            let difference = max_difference(
                &flat(&(features / norm)),
                &numbers(&expected, "text_embeds"),
            );
            assert!(difference < tolerance, "{device:?}: {difference}");
        }
    }
}

#[test]
fn efficientnet_lite_agrees_at_every_layer() {
    let files = ModelFiles::Folder(golden("efficientnet-lite"));
    let bytes = std::fs::read(golden("efficientnet-lite/expected.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    let preprocessor =
        Preprocessor::from_config(&files.bytes("preprocessor_config.json").unwrap()).unwrap();
    let pixels: Vec<Tensor> = ["a.png", "b.png"]
        .iter()
        .map(|name| {
            let pixels = preprocessor
                .pixels(&files.bytes(name).unwrap(), &ImageLimits::default())
                .unwrap();
            let mut numbers = Vec::new();
            pixels.normalise_into(&mut numbers);
            Tensor::from_slice(&numbers).view([1, 3, 260, 260])
        })
        .collect();
    let pixels = Tensor::cat(&pixels, 0);
    let mut config: Value = files.json("config.json").unwrap();
    let blocks = config["blocks"].as_u64().unwrap();
    let mut layers: Vec<(String, String)> = (0..blocks)
        .map(|block| {
            (
                format!("block:n-{}", blocks - block),
                format!("block.{block}"),
            )
        })
        .collect();
    layers.push(("head".to_owned(), "head".to_owned()));
    for (device, tolerance) in devices() {
        let weights = Weights::open(&files, &TRANSFORMERS_WEIGHTS, device, Kind::Float).unwrap();
        for (tap, name) in &layers {
            config["stages"] = json!([{"tap": tap, "pooling": ["mean", "max"]}]);
            let tower = image_tower("efficientnet-lite", config.clone(), &weights.at("")).unwrap();
            let features =
                tch::no_grad(|| tower.forward(&pixels.to_device(device), &|| ())).unwrap();
            assert_eq!(features.size(), [2, tower.width()]);
            let halves = features.chunk(2, 1);
            for (half, pooling) in halves.iter().zip(["mean", "max"]) {
                let wanted = numbers(&expected, &format!("{name}.{pooling}"));
                // Activations reach tens, so the error is relative to the largest.
                let scale = wanted
                    .iter()
                    .fold(1.0_f32, |most, value| most.max(value.abs()));
                let difference = max_difference(&flat(half), &wanted) / scale;
                assert!(
                    difference < tolerance,
                    "{device:?} {name}.{pooling}: {difference}"
                );
            }
        }
    }
}

#[test]
fn an_unknown_tower_lists_the_supported_ones() {
    let files = ModelFiles::Folder(golden("bert"));
    let weights = Weights::open(&files, &TRANSFORMERS_WEIGHTS, Device::Cpu, Kind::Float).unwrap();
    let error = text_tower("t5", Value::Null, &weights.at(""))
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("clip_text_model, bert"),
        "{error}"
    );
}

#[test]
fn a_missing_tensor_is_named_with_its_file() {
    let files = ModelFiles::Folder(golden("bert"));
    let weights = Weights::open(&files, &TRANSFORMERS_WEIGHTS, Device::Cpu, Kind::Float).unwrap();
    let missing = weights
        .at("encoder")
        .get("nothing.weight", &[1])
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("encoder.nothing.weight") && missing.contains("model.safetensors"),
        "{missing}"
    );
    let shape = weights
        .at("embeddings")
        .get("LayerNorm.bias", &[7])
        .unwrap_err()
        .to_string();
    assert!(shape.contains("[48]") && shape.contains("[7]"), "{shape}");
}
