//! The orientation in EXIF metadata, which each format keeps in a place of its own.

use ::image::metadata::Orientation;

/// What JPEG puts before the TIFF structure; writers of other formats often keep it.
const PREFIX: &[u8] = b"Exif\0";

/// Metadata that can't be read turns nothing: it is no reason to refuse an image.
pub(super) fn orientation(metadata: &[u8]) -> Orientation {
    let tiff = match metadata.strip_prefix(PREFIX) {
        // One byte more, which is 0 as a rule.
        Some(rest) => rest.get(1..).unwrap_or_default(),
        None => metadata,
    };
    Orientation::from_exif_chunk(tiff).unwrap_or(Orientation::NoTransforms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_passed_over() {
        let tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        for prefix in [b"".as_slice(), b"Exif\0\0", b"Exif\0\xFF"] {
            let metadata = [prefix, tiff.as_slice()].concat();
            assert_eq!(orientation(&metadata), Orientation::Rotate90, "{prefix:?}");
        }
        for other in [b"".as_slice(), b"Exif\0", b"Exif\0\0", b"II*\0"] {
            assert_eq!(orientation(other), Orientation::NoTransforms, "{other:?}");
        }
    }
}
