//! What JPEG's markers say that the decoder does not: it fills the missing part of a
//! file that was cut off with grey and reports success.

const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: u8 = 0xD9;

/// Whether the end-of-image marker is there, after at least one scan.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    let mut scans = 0;
    for marker in Markers::of(bytes) {
        match marker {
            START_OF_SCAN => scans += 1,
            END_OF_IMAGE => return scans > 0,
            _ => {}
        }
    }
    false
}

/// By the first start-of-frame marker: progressive ones are 2, 6, 10 and 14.
pub(super) fn is_progressive(bytes: &[u8]) -> bool {
    Markers::of(bytes)
        .take_while(|marker| *marker != START_OF_SCAN)
        .any(|marker| matches!(marker, 0xC2 | 0xC6 | 0xCA | 0xCE))
}

/// Walks from marker to marker, over segments by their length and over entropy-coded
/// data by its stuffing, so that a thumbnail inside a segment is not taken for the end.
struct Markers<'a> {
    rest: &'a [u8],
}

impl<'a> Markers<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes.get(2..).unwrap_or_default(),
        }
    }
}

impl Iterator for Markers<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            let start = self.rest.iter().position(|byte| *byte == 0xFF)?;
            let after = &self.rest[start + 1..];
            let fill = after.iter().position(|byte| *byte != 0xFF)?;
            let marker = after[fill];
            self.rest = &after[fill + 1..];
            match marker {
                // Stuffing, restart intervals and the temporary marker have no segment.
                0x00 | 0x01 | 0xD0..=0xD8 => {}
                END_OF_IMAGE => return Some(marker),
                _ => {
                    let length = self.rest.first_chunk::<2>().copied()?;
                    let length = usize::from(u16::from_be_bytes(length));
                    self.rest = self.rest.get(length..)?;
                    return Some(marker);
                }
            }
        }
    }
}
