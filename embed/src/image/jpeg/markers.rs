//! A JPEG's segments, without decoding anything.

const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: u8 = 0xD9;
const APPLICATION_1: u8 = 0xE1;

/// Iterates over the segments. It skips each segment by its length, so the markers of a thumbnail
/// inside a segment do not count.
pub(super) struct Markers<'a> {
    rest: &'a [u8],
}

pub(super) struct Marker<'a> {
    kind: u8,
    /// The contents, without the length field.
    segment: &'a [u8],
}

impl<'a> Markers<'a> {
    pub fn of(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes.get(2..).unwrap_or_default(),
        }
    }

    /// The first EXIF metadata before the image data, with its prefix.
    pub fn exif(self) -> Option<&'a [u8]> {
        self.take_while(|marker| !marker.is_scan())
            .find(|marker| marker.kind == APPLICATION_1 && marker.segment.starts_with(b"Exif\0"))
            .map(|marker| marker.segment)
    }
}

impl Marker<'_> {
    pub fn is_scan(&self) -> bool {
        self.kind == START_OF_SCAN
    }
}

impl<'a> Iterator for Markers<'a> {
    type Item = Marker<'a>;

    /// Ends at the end of the image, or at a truncated segment.
    fn next(&mut self) -> Option<Marker<'a>> {
        loop {
            let start = self.rest.iter().position(|byte| *byte == 0xFF)?;
            let after = &self.rest[start + 1..];
            let fill = after.iter().position(|byte| *byte != 0xFF)?;
            let kind = after[fill];
            self.rest = &after[fill + 1..];
            match kind {
                // Stuffing, restart markers and the temporary marker have no segment.
                0x00 | 0x01 | 0xD0..=0xD8 => {}
                END_OF_IMAGE => return None,
                _ => {
                    let length = self.rest.first_chunk::<2>().copied()?;
                    let length = usize::from(u16::from_be_bytes(length));
                    let segment = self.rest.get(2..length)?;
                    self.rest = &self.rest[length..];
                    return Some(Marker { kind, segment });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_inside_a_segment_are_not_markers() {
        let mut bytes = b"\xFF\xD8".to_vec();
        bytes.extend(b"\xFF\xE1\0\x0CExif\0\0\xFF\xDA\xFF\xD9");
        bytes.extend(b"\xFF\xDA\0\x04abscan\xFF\0\xFF\xD0more\xFF\xFF\xDA\0\x02");
        bytes.extend(b"\xFF\xD9\xFF\xDA\0\x02");
        assert_eq!(Markers::of(&bytes).filter(Marker::is_scan).count(), 2);
        assert_eq!(
            Markers::of(&bytes).exif(),
            Some(b"Exif\0\0\xFF\xDA\xFF\xD9".as_slice())
        );
        for cut in 0..bytes.len() {
            Markers::of(&bytes[..cut]).for_each(drop);
        }
        assert!(Markers::of(b"\xFF\xD8\xFF\xE1\0\x01x").next().is_none());
    }
}
