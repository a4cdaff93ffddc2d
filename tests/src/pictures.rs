//! Images: seeded ones, all different, real drawings, and images that a server must refuse.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::Client;

/// Drawings of the bundled model, named for the concept that each shows.
pub const DRAWINGS: [&str; 5] = [
    "castle",
    "dog-face",
    "grinning-face",
    "red-apple",
    "umbrella",
];

/// One of [`DRAWINGS`] as PNG.
pub fn drawing(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../models/clipdb-mini/golden/{name}.png"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Coloured discs on a coloured background; each seed gives a different image.
pub fn discs(seed: u64, side: u32) -> RgbImage {
    let mut random = StdRng::seed_from_u64(seed);
    let mut picture = RgbImage::from_pixel(side, side, Rgb(random.random()));
    for _ in 0..5 {
        let colour = Rgb(random.random());
        let (x, y, radius) = (
            random.random_range(0..side),
            random.random_range(0..side),
            random.random_range(2..side / 2),
        );
        for (column, row, pixel) in picture.enumerate_pixels_mut() {
            if column.abs_diff(x).pow(2) + row.abs_diff(y).pow(2) < radius.pow(2) {
                *pixel = colour;
            }
        }
    }
    picture
}

pub fn png(seed: u64) -> Vec<u8> {
    encoded(&discs(seed, 48), ImageFormat::Png)
}

pub fn jpeg(seed: u64) -> Vec<u8> {
    encoded(&discs(seed, 160), ImageFormat::Jpeg)
}

pub fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A valid PNG whose header, including the checksum, claims another size.
pub fn png_claiming(width: u32, height: u32) -> Vec<u8> {
    // Signature (8), length (4), "IHDR" (4), width, height, five bytes, checksum.
    let mut bytes = png(0);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32fast::hash(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// The first half of a JPEG.
pub fn truncated_jpeg() -> Vec<u8> {
    let whole = jpeg(1);
    whole[..whole.len() / 2].to_vec()
}

pub fn random_bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(seed).fill(&mut bytes[..]);
    bytes
}

/// A document with only an image.
pub fn document(id: &str, bytes: &[u8]) -> Value {
    json!({ "id": id, "image": Client::image(bytes) })
}
