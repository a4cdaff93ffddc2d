//! Prints how far embeddings are from the reference implementation, a line per
//! checkpoint: those of `parity/golden`, and the full-size ones that
//! `parity/make.sh full` wrote to the folder named by `CLIPDB_PARITY_FULL`.
#![allow(clippy::unwrap_used)] // clippy.toml lets tests do so, not what they share

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clipdb_embed::{DeviceChoice, Encoder, EncoderSettings, ModelSource, Precision, Priority};
use safetensors::SafeTensors;
use serde::Deserialize;

#[derive(Deserialize)]
struct Inputs {
    texts: Vec<String>,
    pictures: Vec<PathBuf>,
}

/// Those that `parity/make.sh full` makes at full size too.
const CLIPS: [&str; 3] = [
    "clip-vit-base-patch32",
    "clip-vit-base-patch16",
    "clip-vit-large-patch14",
];

const OTHERS: [&str; 27] = [
    "open-clip-vit-b-32",
    "open-clip-vit-b-16",
    "open-clip-vit-b-16-plus-240",
    "open-clip-vit-l-14",
    "open-clip-vit-l-14-336",
    "open-clip-vit-h-14",
    "open-clip-vit-g-14",
    "open-clip-vit-bigg-14",
    "open-clip-rn50",
    "open-clip-rn101",
    "open-clip-rn50x4",
    "open-clip-rn50x16",
    "open-clip-rn50x64",
    "open-clip-roberta-vit-b",
    "open-clip-xlm-roberta-base-vit-b",
    "open-clip-xlm-roberta-large-vit-h-14",
    "siglip-base-patch16-224",
    "siglip2-base-patch16-256",
    "siglip-so400m-patch14-384",
    "chinese-clip-vit-b-16",
    "cn-clip-rn50",
    "m-clip-xlm-roberta-large-vit-b-16-plus",
    "m-clip-labse-vit-l-14",
    "sentence-bert-cls",
    "sentence-xlm-roberta",
    "sentence-roberta",
    "sentence-labse",
];

#[tokio::test]
async fn embeddings_are_within_a_ten_thousandth() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/golden");
    let mut folders: Vec<PathBuf> = CLIPS.map(|name| golden.join(name)).into();
    folders.extend(OTHERS.map(|name| golden.join(name)));
    if let Some(full) = std::env::var_os("CLIPDB_PARITY_FULL") {
        folders.extend(CLIPS.map(|name| Path::new(&full).join(name)));
    }
    for folder in folders {
        let (texts, images) = differences(&folder, &golden).await;
        println!(
            "{}: texts {texts:.1e}, images {images:.1e}",
            folder.display()
        );
        assert!(texts < 1e-4 && images < 1e-4, "{}", folder.display());
    }
}

/// The largest absolute difference of any number, of texts and of images, which are
/// named from `golden`.
async fn differences(folder: &Path, golden: &Path) -> (f32, f32) {
    let inputs = std::fs::read(folder.join("expected.json")).unwrap();
    let inputs: Inputs = serde_json::from_slice(&inputs).unwrap();
    let bytes = std::fs::read(folder.join("expected.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    let settings = EncoderSettings {
        devices: DeviceChoice::Cpu.into(),
        precision: Precision::F32,
        ..EncoderSettings::default()
    };
    let encoder = Encoder::load(&ModelSource::folder(folder).unwrap(), &settings).unwrap();

    let texts = encoder.texts(inputs.texts, Priority::Search).await.unwrap();
    let texts = texts.into_iter().flat_map(|text| text.embedding.into_vec());
    let texts = largest(texts.collect(), &expected, "text_embeds");

    let mut images = Vec::new();
    for name in inputs.pictures {
        let picture = Bytes::from(std::fs::read(golden.join(name)).unwrap());
        let image = encoder.image(picture, Priority::Search).await.unwrap();
        images.extend(image.embedding.into_vec());
    }
    if images.is_empty() {
        return (texts, 0.0);
    }
    (texts, largest(images, &expected, "image_embeds"))
}

fn largest(found: Vec<f32>, expected: &SafeTensors<'_>, name: &str) -> f32 {
    let wanted = expected.tensor(name).unwrap();
    let (wanted, _) = wanted.data().as_chunks::<4>();
    assert_eq!(found.len(), wanted.len(), "{name}");
    let differences = found
        .iter()
        .zip(wanted)
        .map(|(found, wanted)| (found - f32::from_le_bytes(*wanted)).abs());
    differences.fold(0.0, f32::max)
}
