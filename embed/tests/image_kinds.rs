//! Images by scanners, cameras, scientific software and Windows have the pixels that browsers, Pillow
//! or Windows show (`parity/kinds.py` writes the files).
#![allow(clippy::unwrap_used)] // clippy.toml allows it only inside of tests

use std::path::{Path, PathBuf};

use clipdb_embed::image::{ImageError, ImageLimits, Preprocessor, inspect, thumbnail};
use safetensors::SafeTensors;

const LIMITS: ImageLimits = ImageLimits {
    max_pixels: 1_000_000,
};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/golden")
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(golden().join("kinds").join(name)).unwrap()
}

/// The 8-bit pixels, the width and the height.
fn pixels(bytes: &[u8]) -> Result<(Vec<u8>, u32, u32), ImageError> {
    let info = inspect(bytes, &LIMITS)?;
    let (width, height) = (info.width, info.height);
    let json =
        format!(r#"{{"size": {{"height": {height}, "width": {width}}}, "do_center_crop": false}}"#);
    let unchanged = Preprocessor::from_config(json.as_bytes())?;
    Ok((unchanged.cropped(bytes, &LIMITS)?.into_raw(), width, height))
}

fn furthest(ours: &[u8], theirs: &[u8]) -> u8 {
    assert_eq!(ours.len(), theirs.len());
    let differences = ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b));
    differences.max().unwrap_or(0)
}

#[test]
fn every_kind_has_the_expected_pixels() {
    let bytes = std::fs::read(golden().join("kinds.safetensors")).unwrap();
    let references = SafeTensors::deserialize(&bytes).unwrap();
    let mut wrong = Vec::new();
    for (name, reference) in references.tensors() {
        let file = file(&name);
        let (ours, width, height) = match pixels(&file) {
            Ok(read) => read,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        assert_eq!(
            [height, width].map(|side| side as usize),
            reference.shape()[..2],
            "{name}"
        );
        // JPEG is decoded by the same library; other formats may differ in rounding.
        let allowed = if name.ends_with(".jpg") { 0 } else { 1 };
        let difference = furthest(&ours, reference.data());
        println!("{name}: max {difference}");
        if difference > allowed {
            wrong.push(format!("{name} differs by {difference}"));
        }
        assert!(thumbnail(&file, 16, &LIMITS).is_ok(), "{name}");
    }
    assert!(references.len() > 70);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_truncated_jpeg_is_rejected_with_or_without_an_end_marker() {
    for name in [
        "no-end.jpg",
        "no-end-progressive.jpg",
        "no-end-grey.jpg",
        "no-end-inks.jpg",
    ] {
        let whole = file(name);
        for share in [0.5, 0.7, 0.95] {
            let cut = &whole[..(whole.len() as f64 * share) as usize];
            let result = pixels(cut);
            assert!(
                matches!(result, Err(ImageError::Truncated { .. })),
                "{name} cut to {share}: {:?}",
                result.map(|_| "decoded")
            );
        }
        // A part of an image with an end marker is rejected too, although viewers show it.
        let mut ended = whole[..whole.len() * 3 / 5].to_vec();
        ended.extend(b"\xFF\xD9");
        let result = pixels(&ended);
        if !name.contains("progressive") {
            assert!(
                matches!(result, Err(ImageError::Truncated { .. })),
                "{name} cut and ended: {:?}",
                result.map(|_| "decoded")
            );
        }
    }
}

#[test]
fn a_truncated_tiff_is_an_error() {
    for entry in std::fs::read_dir(golden().join("kinds")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".tiff") {
            continue;
        }
        let whole = file(&name);
        for share in [0.1, 0.5, 0.9] {
            let cut = &whole[..(whole.len() as f64 * share) as usize];
            match pixels(cut) {
                Err(ImageError::Truncated { .. } | ImageError::Corrupt { .. }) => {}
                // A directory without its last entries may still be valid.
                Err(ImageError::Unsupported { .. }) => {}
                // The data at the end may be unrelated to the pixels.
                Ok(read) if read == pixels(&whole).unwrap() => {}
                other => panic!("{name} cut to {share}: {:?}", other.map(|_| "decoded")),
            }
        }
    }
}

#[test]
fn unsupported_features_are_named() {
    // A grey TIFF of 4 × 4 pixels with a different value of one tag.
    let tiff = |tag: u16, value: u16| {
        let mut entries: Vec<(u16, u16)> = vec![
            (256, 4),
            (257, 4),
            (258, 8),
            (259, 1),
            (262, 1),
            (273, 8),
            (277, 1),
            (279, 64),
        ];
        match entries.iter_mut().find(|entry| entry.0 == tag) {
            Some(entry) => entry.1 = value,
            None => entries.push((tag, value)),
        }
        entries.sort_unstable();
        let mut file = b"II*\0\x48\0\0\0".to_vec();
        file.extend([77; 64]);
        file.extend((entries.len() as u16).to_le_bytes());
        for (tag, value) in entries {
            file.extend(tag.to_le_bytes());
            file.extend([3, 0, 1, 0, 0, 0]);
            file.extend(value.to_le_bytes());
            file.extend([0, 0]);
        }
        file.extend([0; 4]);
        file
    };
    assert!(pixels(&tiff(259, 1)).is_ok());
    for (tag, value, words) in [
        (259, 34_925, "compression 34925"),
        (262, 8, "L*a*b*"),
        (262, 32_845, "logarithmic"),
        (258, 65, "65"),
        (339, 6, "sample format 6"),
        (317, 34_892, "predictor 34892"),
        (259, 6, "in several parts"),
    ] {
        let error = pixels(&tiff(tag, value)).unwrap_err();
        assert!(matches!(error, ImageError::Unsupported { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.starts_with("this kind of TIFF cannot be read: ") && text.contains(words),
            "{text}"
        );
    }
}

/// Compares the images in the folder `CLIPDB_KINDS` with their references. `NAME.ppm` is the reference
/// of `NAME`.
#[test]
#[ignore = "needs a folder with images"]
fn a_folder_has_the_pixels_of_another_program() {
    let folder = std::env::var("CLIPDB_KINDS").unwrap();
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none_or(|extension| extension != "ppm"))
        .collect();
    names.sort();
    for path in names {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let read = pixels(&std::fs::read(&path).unwrap());
        let Ok(reference) = std::fs::read(path.with_added_extension("ppm")) else {
            println!("{name}: no reference; result: {:?}", read.map(|_| "read"));
            continue;
        };
        match read {
            Err(error) => println!("{name}: REJECTED {error}"),
            Ok((ours, width, height)) => {
                let header = format!("P6\n{width} {height}\n255\n");
                match reference.strip_prefix(header.as_bytes()) {
                    Some(theirs) => println!("{name}: {}", furthest(&ours, theirs)),
                    None => println!("{name}: SIZE {width} × {height}"),
                }
            }
        }
    }
}
