//! The orientation in EXIF metadata. Each format stores the metadata elsewhere.

use ::image::metadata::Orientation;

/// The prefix that JPEG puts before the TIFF structure. Writers of other formats often keep it.
const PREFIX: &[u8] = b"Exif\0";

/// Reads the orientation. Unreadable metadata counts as no rotation, since the image itself is
/// usable.
pub(super) fn orientation(metadata: &[u8]) -> Orientation {
    let tiff = match metadata.strip_prefix(PREFIX) {
        // The byte that follows is usually 0.
        Some(rest) => rest.get(1..).unwrap_or_default(),
        None => metadata,
    };
    Orientation::from_exif_chunk(tiff).unwrap_or(Orientation::NoTransforms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_skipped() {
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
