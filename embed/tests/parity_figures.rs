//! Prints the difference of embeddings from the reference implementation, one line per checkpoint:
//! those in `parity/golden`, and the full-size ones that `parity/make.sh full` wrote to the folder
//! `CLIPDB_PARITY_FULL`. Runs on the CPU, and on CUDA if available.
#![allow(clippy::unwrap_used)] // clippy.toml allows it only inside of tests

use std::fmt;
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

/// Checkpoints that `parity/make.sh full` also creates at full size.
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
    for folder in folders() {
        let (texts, images) = distances(&folder, DeviceChoice::Cpu, Precision::F32).await;
        println!("{}: texts {texts}, images {images}", folder.display());
        let furthest = texts.difference.max(images.difference);
        assert!(furthest < 1e-4, "{}", folder.display());
    }
}

/// Skipped with a message without a CUDA device. Without `NVIDIA_TF32_OVERRIDE=0`, which the server
/// and `tests/run.sh` set, cuDNN rounds f32 to TF32.
#[tokio::test]
async fn embeddings_on_cuda_are_those_of_the_reference() {
    let first = load(&golden().join(CLIPS[0]), DeviceChoice::Auto, Precision::F32);
    if let Some(reason) = &first.card().device_note {
        clipdb_skip::report_skip(&format!("no comparison on CUDA, {reason}"));
        return;
    }
    let rounded = std::env::var("NVIDIA_TF32_OVERRIDE").as_deref() != Ok("0");
    let allowed = if rounded { 1e-2 } else { 1e-4 };
    let mut apart = Vec::new();
    for folder in folders() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        // Activations grow more with random weights than with trained ones.
        let is_resnet = name.contains("-rn");
        for (precision, least) in [
            (Precision::F32, 0.99999),
            (Precision::F16, if is_resnet { 0.96 } else { 0.999 }),
            (Precision::Bf16, if is_resnet { 0.85 } else { 0.99 }),
        ] {
            let (texts, images) = distances(&folder, DeviceChoice::Cuda(0), precision).await;
            let row = format!("{name} in {precision} on CUDA: texts {texts}, images {images}");
            println!("{row}");
            let furthest = texts.difference.max(images.difference);
            let exact = precision != Precision::F32 || furthest < allowed;
            if !exact || texts.cosine.min(images.cosine) < least {
                apart.push(row);
            }
        }
    }
    assert!(apart.is_empty(), "{apart:#?}");
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/golden")
}

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = CLIPS.map(|name| golden().join(name)).into();
    folders.extend(OTHERS.map(|name| golden().join(name)));
    if let Some(full) = std::env::var_os("CLIPDB_PARITY_FULL") {
        folders.extend(CLIPS.map(|name| Path::new(&full).join(name)));
    }
    folders
}

fn load(folder: &Path, device: DeviceChoice, precision: Precision) -> Encoder {
    let settings = EncoderSettings {
        devices: device.into(),
        precision,
        ..EncoderSettings::default()
    };
    Encoder::load(&ModelSource::folder(folder).unwrap(), &settings).unwrap()
}

/// The difference of embeddings from the reference.
#[derive(Clone, Copy)]
struct Distance {
    /// The largest absolute difference of a component.
    difference: f32,
    /// The smallest cosine of a vector.
    cosine: f32,
}

impl Distance {
    const NONE: Self = Self {
        difference: 0.0,
        cosine: 1.0,
    };

    fn of(found: &[Vec<f32>], expected: &SafeTensors<'_>, name: &str) -> Self {
        let wanted = expected.tensor(name).unwrap();
        assert_eq!(found.len(), wanted.shape()[0], "{name}");
        let (numbers, _) = wanted.data().as_chunks::<4>();
        let numbers: Vec<f32> = numbers
            .iter()
            .map(|each| f32::from_le_bytes(*each))
            .collect();
        let rows = found.iter().zip(numbers.chunks(wanted.shape()[1]));
        rows.fold(Self::NONE, |furthest, (found, wanted)| {
            assert_eq!(found.len(), wanted.len(), "{name}");
            let pairs = || found.iter().zip(wanted);
            let difference = pairs().map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            Self {
                difference: furthest.difference.max(difference),
                cosine: furthest.cosine.min(pairs().map(|(a, b)| a * b).sum()),
            }
        })
    }
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1e}", self.difference)?;
        if self.cosine < 0.9999 {
            write!(f, " (cosine {:.5})", self.cosine)?;
        }
        Ok(())
    }
}

/// The differences of texts and of images.
async fn distances(
    folder: &Path,
    device: DeviceChoice,
    precision: Precision,
) -> (Distance, Distance) {
    let inputs = std::fs::read(folder.join("expected.json")).unwrap();
    let inputs: Inputs = serde_json::from_slice(&inputs).unwrap();
    let bytes = std::fs::read(folder.join("expected.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    let encoder = load(folder, device, precision);

    let texts = encoder.texts(inputs.texts, Priority::Search).await.unwrap();
    let texts: Vec<_> = texts
        .into_iter()
        .map(|text| text.embedding.into_vec())
        .collect();
    let texts = Distance::of(&texts, &expected, "text_embeds");

    let mut images = Vec::new();
    for name in inputs.pictures {
        let picture = Bytes::from(std::fs::read(golden().join(name)).unwrap());
        let image = encoder.image(picture, Priority::Search).await.unwrap();
        images.push(image.embedding.into_vec());
    }
    if images.is_empty() {
        return (texts, Distance::NONE);
    }
    (texts, Distance::of(&images, &expected, "image_embeds"))
}
