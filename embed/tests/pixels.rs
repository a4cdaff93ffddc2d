//! Compares preprocessed pixels, before normalisation, with transformers' Pillow-based processor for
//! 21 sizes: equal for PNG, within 4 of 255 for JPEG. `embed/parity` creates the references.
#![allow(clippy::unwrap_used)] // clippy.toml allows it only inside of tests

use std::path::{Path, PathBuf};

use clipdb_embed::image::{ImageError, ImageLimits, Preprocessor};
use safetensors::SafeTensors;
use serde_json::Value;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/golden")
}

fn preprocessor(kind: &str) -> Preprocessor {
    let config = std::fs::read(golden().join(format!("images/{kind}.json"))).unwrap();
    Preprocessor::from_config(&config).unwrap()
}

/// Compares a sample of every image. `CLIPDB_PARITY_PIXELS` is the path of the file with all pixels,
/// which `embed/parity/make.sh full` writes.
#[test]
fn pixels_are_those_of_pillow() {
    let file = std::env::var_os("CLIPDB_PARITY_PIXELS")
        .map_or_else(|| golden().join("pixels.safetensors"), PathBuf::from);
    let bytes = std::fs::read(file).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let stride: u32 = header.metadata().as_ref().unwrap()["stride"]
        .parse()
        .unwrap();
    let references = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(references.len(), 2 * 2 * 21);

    let mut worst = Vec::new();
    for (name, reference) in references.iter() {
        let (kind, picture) = name.split_once('/').unwrap();
        let file = std::fs::read(golden().join("images").join(picture)).unwrap();
        let cropped = preprocessor(kind)
            .cropped(&file, &ImageLimits::default())
            .unwrap();
        let sampled = cropped
            .enumerate_pixels()
            .filter(|(x, y, _)| x.is_multiple_of(stride) && y.is_multiple_of(stride))
            .flat_map(|(_, _, pixel)| pixel.0);
        let differences: Vec<u8> = sampled
            .zip(reference.data())
            .map(|(ours, theirs)| ours.abs_diff(*theirs))
            .collect();
        assert_eq!(differences.len(), reference.data().len(), "{name}");
        worst.push((name.to_owned(), differences.into_iter().max().unwrap()));
    }
    worst.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, difference) in &worst {
        println!("{name}: {difference}");
    }
    // The decoder is Pillow's, and the resampling has the same arithmetic.
    assert!(worst.iter().all(|(_, difference)| *difference == 0));
}

/// Lossless images with the preprocessing of other families are equal.
#[test]
fn pixels_of_other_families_are_those_of_their_authors() {
    let bytes = std::fs::read(golden().join("pixels-families.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let stride: u32 = header.metadata().as_ref().unwrap()["stride"]
        .parse()
        .unwrap();
    let references = SafeTensors::deserialize(&bytes).unwrap();
    let configs = std::fs::read(golden().join("images/families.json")).unwrap();
    let configs: serde_json::Map<String, Value> = serde_json::from_slice(&configs).unwrap();
    assert_eq!(references.len(), configs.len() * 22);
    for (kind, config) in configs {
        let side = kind.rsplit('-').next().unwrap().parse().unwrap();
        let preprocessor = match kind.starts_with("open-clip") {
            true => Preprocessor::from_open_clip(&config, side),
            false => Preprocessor::from_config(config.to_string().as_bytes()),
        };
        let preprocessor = preprocessor.unwrap();
        for (name, reference) in references.iter() {
            let Some(picture) = name.strip_prefix(&format!("{kind}/")) else {
                continue;
            };
            let file = std::fs::read(golden().join(picture)).unwrap();
            let cropped = preprocessor
                .cropped(&file, &ImageLimits::default())
                .unwrap();
            assert_eq!(cropped.dimensions(), (side, side), "{name}");
            let sampled: Vec<u8> = cropped
                .enumerate_pixels()
                .filter(|(x, y, _)| x.is_multiple_of(stride) && y.is_multiple_of(stride))
                .flat_map(|(_, _, pixel)| pixel.0)
                .collect();
            // Not `assert_eq`, which would print both images.
            assert!(sampled == reference.data(), "{name}");
        }
    }
}

#[test]
fn processors_of_other_families_are_refused() {
    let json = br#"{"image_processor_type": "BlipImageProcessor", "size": 224}"#;
    let error = Preprocessor::from_config(json).unwrap_err();
    assert!(error.to_string().contains("Blip"), "{error}");
}

#[test]
fn values_are_normalised_channel_by_channel() {
    let json = br#"{"size": 4, "crop_size": 4, "image_mean": [0.5, 0.25, 0.0],
        "image_std": [0.5, 0.25, 2.0], "resample": 3}"#;
    let picture = ::image::RgbImage::from_fn(4, 4, |x, _| ::image::Rgb([255, 0, 51 * x as u8]));
    let mut file = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut file, ::image::ImageFormat::Png)
        .unwrap();
    let pixels = Preprocessor::from_config(json)
        .unwrap()
        .pixels(file.get_ref(), &ImageLimits::default())
        .unwrap();
    assert_eq!((pixels.width(), pixels.height()), (4, 4));
    let mut numbers = Vec::new();
    pixels.normalise_into(&mut numbers);
    assert_eq!(numbers.len(), 3 * 4 * 4);
    assert!(numbers[..16].iter().all(|value| *value == 1.0));
    assert!(numbers[16..32].iter().all(|value| *value == -1.0));
    assert!((numbers[33] - 0.1).abs() < 1e-6);
    assert!((numbers[35] - 0.3).abs() < 1e-6);
}

#[test]
fn a_picture_smaller_than_the_crop_is_framed_in_black() {
    let json = br#"{"size": {"height": 3, "width": 5}, "crop_size": 8, "resample": 3}"#;
    let picture = ::image::RgbImage::from_pixel(5, 3, ::image::Rgb([200, 200, 200]));
    let mut file = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut file, ::image::ImageFormat::Png)
        .unwrap();
    let framed = Preprocessor::from_config(json)
        .unwrap()
        .cropped(file.get_ref(), &ImageLimits::default())
        .unwrap();
    assert_eq!(framed.dimensions(), (8, 8));
    for (x, y, pixel) in framed.enumerate_pixels() {
        // transformers puts an odd pixel of padding before the image.
        let inside = (2..7).contains(&x) && (3..6).contains(&y);
        assert_eq!(pixel.0[0], if inside { 200 } else { 0 }, "at {x}, {y}");
    }
}

/// Resizing 1 × 2,000,000 pixels completely would produce 224 × 448,000,000.
#[test]
fn extreme_shapes_cost_no_more_than_their_crop() {
    for (width, height) in [(1, 2_000_000), (2_000_000, 1)] {
        let picture = ::image::GrayImage::from_pixel(width, height, ::image::Luma([90]));
        let mut file = std::io::Cursor::new(Vec::new());
        picture
            .write_to(&mut file, ::image::ImageFormat::Png)
            .unwrap();
        for json in [
            br#"{"size": 224, "crop_size": 224}"#.as_slice(),
            br#"{"size": {"height": 224, "width": 224}, "do_center_crop": false}"#,
        ] {
            let cropped = Preprocessor::from_config(json)
                .unwrap()
                .cropped(file.get_ref(), &ImageLimits::default())
                .unwrap();
            assert_eq!(cropped.dimensions(), (224, 224));
            assert!(cropped.pixels().all(|pixel| pixel.0 == [90, 90, 90]));
        }
    }
}

#[test]
fn an_unsupported_configuration_is_rejected() {
    for (json, field) in [
        (r#"{"size": {"longest_edge": 224}}"#, "size"),
        (
            r#"{"size": {"shortest_edge": 224, "longest_edge": 300}}"#,
            "size",
        ),
        (r#"{"size": 0}"#, "size"),
        (r#"{"size": 224, "crop_size": 100000}"#, "crop_size"),
        (r#"{"do_resize": false}"#, "do_resize"),
        (r#"{"do_pad": true}"#, "do_pad"),
        (
            r#"{"size": 224, "do_center_crop": false}"#,
            "do_center_crop",
        ),
        (r#"{"resample": 0}"#, "resample"),
        (r#"{"image_mean": [0.5]}"#, "image_mean"),
        (r#"{"image_std": [0.5, 0.0, 0.5]}"#, "image_std"),
        (r#"{"rescale_factor": 0}"#, "rescale_factor"),
        (r"[1, 2", "the file"),
    ] {
        match Preprocessor::from_config(json.as_bytes()) {
            Err(ImageError::Config { field: named, .. }) => assert_eq!(named, field, "{json}"),
            other => panic!("{json}: {other:?}"),
        }
    }
}
