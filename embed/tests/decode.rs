//! Every format and variant decodes to the same pixels as with Pillow. A file that cannot be decoded
//! is a clear error and never a panic.
#![allow(clippy::unwrap_used)] // clippy.toml allows it only inside of tests

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clipdb_embed::image::{ImageError, ImageLimits, Preprocessor, decode_cost, inspect, thumbnail};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use safetensors::SafeTensors;

const LIMITS: ImageLimits = ImageLimits {
    max_pixels: 1_000_000,
};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/golden")
}

fn files() -> &'static BTreeMap<String, Vec<u8>> {
    static FILES: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    FILES.get_or_init(|| {
        std::fs::read_dir(golden().join("formats"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, std::fs::read(path).unwrap())
            })
            .collect()
    })
}

/// A processor that does not change an image of this size.
fn identity(width: u32, height: u32) -> Preprocessor {
    let json =
        format!(r#"{{"size": {{"height": {height}, "width": {width}}}, "do_center_crop": false}}"#);
    Preprocessor::from_config(json.as_bytes()).unwrap()
}

#[test]
fn every_variant_equals_pillow_s() {
    let bytes = std::fs::read(golden().join("formats.safetensors")).unwrap();
    let references = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(references.len(), files().len());
    let mut wrong = Vec::new();
    for (name, file) in files() {
        let reference = references.tensor(name).unwrap();
        let (height, width) = (reference.shape()[0] as u32, reference.shape()[1] as u32);
        let decoded = identity(width, height).cropped(file, &LIMITS);
        let info = inspect(file, &LIMITS).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((info.width, info.height), (width, height), "{name}");
        assert!(
            decode_cost(&info) >= u64::from(width * height) * 3,
            "{name}"
        );
        let decoded = decoded.unwrap_or_else(|error| panic!("{name}: {error}"));
        let difference = decoded
            .as_raw()
            .iter()
            .zip(reference.data())
            .map(|(ours, theirs)| ours.abs_diff(*theirs))
            .max()
            .unwrap();
        println!("{name}: max {difference}");
        // Lossless formats may differ by the rounding of alpha blending. Decoders of lossy formats
        // differ in the rounding of transforms and in the interpolation of colour.
        let allowed = match name.as_str() {
            "lossy.webp" | "alpha.webp" => 4,
            // Subsampled colour, compared without resizing.
            "progressive.jpg" | "restart-intervals.jpg" => 6,
            name if name.ends_with(".jpg") => 4,
            _ => 1,
        };
        if difference > allowed {
            wrong.push(format!("{name} differs by {difference}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn media_types_are_detected_from_the_content() {
    for (name, media_type) in [
        ("rgb.jpg", "image/jpeg"),
        ("rgb.png", "image/png"),
        ("lossless.webp", "image/webp"),
        ("still.gif", "image/gif"),
        ("rgb.bmp", "image/bmp"),
        ("rgb.tiff", "image/tiff"),
    ] {
        assert_eq!(
            inspect(&files()[name], &LIMITS).unwrap().media_type,
            media_type
        );
    }
}

#[test]
fn odd_crops_are_correct_in_every_orientation() {
    // 44 × 30 cropped to 27 × 19: both margins are odd, so a mirrored crop would differ.
    let crop =
        br#"{"size": {"height": 30, "width": 44}, "crop_size": {"height": 19, "width": 27}}"#;
    let turned =
        br#"{"size": {"height": 44, "width": 30}, "crop_size": {"height": 27, "width": 19}}"#;
    for tag in 1..=8 {
        let file = &files()[&format!("orientation-{tag}.jpg")];
        let (config, width, height) = if tag < 5 {
            (crop.as_slice(), 44, 30)
        } else {
            (turned.as_slice(), 30, 44)
        };
        let whole = identity(width, height).cropped(file, &LIMITS).unwrap();
        let part = Preprocessor::from_config(config)
            .unwrap()
            .cropped(file, &LIMITS)
            .unwrap();
        let (left, top) = ((width - part.width()) / 2, (height - part.height()) / 2);
        for (x, y, pixel) in part.enumerate_pixels() {
            assert_eq!(
                pixel,
                whole.get_pixel(left + x, top + y),
                "orientation {tag}"
            );
        }
    }
}

#[test]
fn a_header_with_too_many_pixels_is_rejected_before_decoding() {
    // 30,000 × 30,000 pixels in 60 bytes: only the header can have been read.
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend(30_000_u32.to_be_bytes());
    png.extend(30_000_u32.to_be_bytes());
    png.extend([8, 2, 0, 0, 0]);
    png.extend(crc(&png[12..]).to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    for result in [
        inspect(&png, &ImageLimits::default()).map(|_| ()),
        identity(4, 4)
            .pixels(&png, &ImageLimits::default())
            .map(|_| ()),
        thumbnail(&png, 100, &ImageLimits::default()).map(|_| ()),
    ] {
        match result {
            Err(ImageError::TooManyPixels {
                width,
                height,
                max_pixels,
            }) => {
                assert_eq!((width, height, max_pixels), (30_000, 30_000, 64_000_000));
            }
            other => panic!("{other:?}"),
        }
    }
    let small = ImageLimits {
        max_pixels: 44 * 30 - 1,
    };
    for name in [
        "rgb.jpg",
        "rgb.png",
        "lossy.webp",
        "still.gif",
        "rgb.bmp",
        "rgb.tiff",
    ] {
        let refused = inspect(&files()[name], &small);
        assert!(
            matches!(refused, Err(ImageError::TooManyPixels { .. })),
            "{name}: {refused:?}"
        );
        let enough = ImageLimits {
            max_pixels: 44 * 30,
        };
        assert!(inspect(&files()[name], &enough).is_ok(), "{name}");
    }
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            }
        })
    })
}

#[test]
fn a_truncated_file_is_an_error_in_every_format() {
    let mut wrong = Vec::new();
    for (name, file) in files() {
        for share in [0.3, 0.6, 0.9] {
            let cut = &file[..(file.len() as f64 * share) as usize];
            // Later frames and trailing data may be missing.
            if share > 0.3 && (name.starts_with("animated") || name.starts_with("orientation-8")) {
                continue;
            }
            let result = identity(44, 30).pixels(cut, &LIMITS);
            match result {
                Err(ImageError::Truncated { .. } | ImageError::Corrupt { .. }) => {}
                other => wrong.push(format!(
                    "{name} cut to {share}: {:?}",
                    other.map(|_| "decoded")
                )),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let jpeg = &files()["rgb.jpg"];
    let error = identity(44, 30)
        .pixels(&jpeg[..jpeg.len() * 9 / 10], &LIMITS)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the JPEG is truncated: send the complete file"
    );
    // The end marker is not needed for the pixels.
    assert!(
        identity(44, 30)
            .pixels(&jpeg[..jpeg.len() - 2], &LIMITS)
            .is_ok()
    );
}

#[test]
fn a_thumbnail_inside_a_jpeg_is_not_its_end() {
    let whole = &files()["progressive.jpg"];
    // An application segment with an end-of-image marker, before a truncated image.
    let mut cut = whole[..2].to_vec();
    cut.extend([0xFF, 0xEF, 0x00, 0x06, 0xFF, 0xD9, 0xFF, 0xD9]);
    cut.extend(&whole[2..whole.len() / 2]);
    let result = identity(44, 30).pixels(&cut, &LIMITS);
    assert!(
        matches!(result, Err(ImageError::Truncated { .. })),
        "{result:?}"
    );
}

#[test]
fn other_content_is_not_an_image() {
    for (bytes, words) in [
        (b"".as_slice(), "it is empty"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"{\"error\": \"not found\"}", "JSON"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\0\0\0\x1cftypheic\0\0\0\0", "HEIC"),
        (b"%PDF-1.7", "PDF"),
        (b"hello", "no known signature"),
    ] {
        let error = inspect(bytes, &LIMITS).unwrap_err();
        assert!(matches!(error, ImageError::NotAnImage { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.starts_with("not an image: ") && text.contains(words),
            "{text}"
        );
    }
}

#[test]
fn thumbnails_are_upright_and_keep_transparency() {
    let small = |name: &str, width| {
        let made = thumbnail(&files()[name], width, &LIMITS).unwrap();
        let picture = ::image::load_from_memory(&made.bytes).unwrap();
        (made.media_type, picture)
    };
    let (media_type, picture) = small("rgb.jpg", 22);
    assert_eq!(
        (media_type, picture.width(), picture.height()),
        ("image/jpeg", 22, 15)
    );
    let (media_type, picture) = small("rgba.png", 11);
    assert_eq!(
        (media_type, picture.width(), picture.height()),
        ("image/png", 11, 8)
    );
    let alpha: Vec<u8> = picture
        .to_rgba8()
        .pixels()
        .map(|pixel| pixel.0[3])
        .collect();
    assert!(alpha[0] < 40 && alpha[87] > 215, "{alpha:?}");
    let (_, picture) = small("orientation-6.jpg", 15);
    assert_eq!((picture.width(), picture.height()), (15, 22));
    let (_, picture) = small("rgb.png", 4_000);
    assert_eq!((picture.width(), picture.height()), (44, 30));
    let upright = identity(30, 44)
        .cropped(&files()["orientation-8.jpg"], &LIMITS)
        .unwrap();
    let (_, picture) = small("orientation-8.jpg", 30);
    let worst = upright
        .as_raw()
        .iter()
        .zip(picture.to_rgb8().as_raw())
        .map(|(a, b)| a.abs_diff(*b))
        .max();
    assert!(
        worst.unwrap() < 100,
        "the thumbnail differs by {worst:?}, so its orientation is wrong"
    );
}

/// Any bytes: a result or an error, never a panic.
fn try_everything(bytes: &[u8]) {
    let limits = ImageLimits {
        max_pixels: 100_000,
    };
    let inspected = inspect(bytes, &limits);
    let decoded = identity(8, 8).pixels(bytes, &limits);
    assert!(
        inspected.is_ok() || decoded.is_err(),
        "decoded although its header is rejected"
    );
    if let Ok(made) = thumbnail(bytes, 16, &limits) {
        ::image::load_from_memory(&made.bytes).unwrap();
    }
}

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    proptest::sample::select(files().values().cloned().collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        // The default looks for a lib.rs above this file and prints a warning.
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        try_everything(&bytes);
    }

    #[test]
    fn random_bytes_behind_a_signature_never_panic(
        file in any_file(),
        kept in 2..40_usize,
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut made = file[..kept.min(file.len())].to_vec();
        made.extend(bytes);
        try_everything(&made);
    }

    #[test]
    fn corrupt_and_truncated_files_never_panic(
        mut file in any_file(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        for (place, byte) in changes {
            let place = place.index(file.len());
            file[place] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        try_everything(&file);
    }
}
