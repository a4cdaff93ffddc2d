//! Checks of a WebP's chunks before the decoder allocates the memory that they claim.

use super::ImageError;

const NAME: &str = "WebP";

/// A chunk's name and body.
type Chunk<'a> = (&'a [u8], &'a [u8]);

/// Rejects a file whose chunks extend past its end, and a file whose image differs in size from
/// its canvas. The decoder would allocate memory for either.
pub(super) fn check(file: &[u8]) -> Result<(), ImageError> {
    let mut canvas = None;
    for chunk in chunks(file.get(12..).unwrap_or_default()) {
        let (name, body) = chunk?;
        match name {
            b"VP8X" => canvas = size_at(body, 4),
            b"ANMF" => {
                let frame = size_at(body, 6);
                for inner in chunks(body.get(16..).unwrap_or_default()) {
                    check_size(inner?, frame)?;
                }
            }
            _ => check_size((name, body), canvas)?,
        }
    }
    Ok(())
}

/// The EXIF metadata, with or without the `Exif` prefix.
pub(super) fn exif(file: &[u8]) -> Option<&[u8]> {
    chunks(file.get(12..)?)
        .map_while(Result::ok)
        .find(|(name, _)| name == b"EXIF")
        .map(|(_, body)| body)
}

fn check_size((name, body): Chunk<'_>, expected: Option<(u32, u32)>) -> Result<(), ImageError> {
    let short = |at: usize| {
        let bytes = body.get(at..at + 2)?;
        Some(u32::from(u16::from_le_bytes([bytes[0], bytes[1]])))
    };
    let size = match name {
        b"VP8 " => short(6)
            .zip(short(8))
            .map(|(width, height)| (width & 0x3FFF, height & 0x3FFF)),
        b"VP8L" => body.get(1..5).map(|bytes| {
            let bits = bytes
                .iter()
                .rev()
                .fold(0, |bits, byte| bits << 8 | u32::from(*byte));
            (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
        }),
        _ => return Ok(()),
    };
    match (size, expected) {
        (Some(size), Some(expected)) if size != expected => Err(ImageError::Corrupt {
            format: NAME,
            reason: "its image and its canvas differ in size".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Width and height: two 24-bit integers, each stored minus one.
fn size_at(body: &[u8], at: usize) -> Option<(u32, u32)> {
    let number = |at: usize| {
        let bytes = body.get(at..at + 3)?;
        Some(1 + u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]))
    };
    number(at).zip(number(at + 3))
}

/// Iterates over the chunks. Trailing bytes that are too short for a chunk header are ignored.
fn chunks(mut rest: &[u8]) -> impl Iterator<Item = Result<Chunk<'_>, ImageError>> {
    std::iter::from_fn(move || {
        let (name, length) = (rest.get(..4)?, rest.get(4..8)?);
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let Some(body) = rest.get(8..).and_then(|rest| rest.get(..length)) else {
            rest = &[];
            return Some(Err(ImageError::Truncated { format: NAME }));
        };
        // An odd length is padded by one byte, which the last chunk may lack.
        rest = rest
            .get(8 + length.next_multiple_of(2)..)
            .unwrap_or_default();
        Some(Ok((name, body)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u32).to_le_bytes();
        let filled = vec![0; body.len() % 2];
        [name.as_slice(), &length, body, &filled].concat()
    }

    fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
        [b"RIFF\0\0\0\0WEBP".as_slice(), &chunks.concat()].concat()
    }

    #[test]
    fn the_image_must_have_the_size_of_the_canvas() {
        let canvas = chunk(b"VP8X", &[0, 0, 0, 0, 43, 0, 0, 29, 0, 0]);
        let lossy = |width: u8| chunk(b"VP8 ", &[0, 0, 0, 0x9D, 1, 0x2A, width, 0, 30, 0]);
        let bits = (43_u32 | 29 << 14).to_le_bytes();
        let lossless = chunk(b"VP8L", &[&[0x2F], bits.as_slice()].concat());
        assert!(check(&file(&[canvas.clone(), lossy(44)])).is_ok());
        assert!(check(&file(&[canvas.clone(), lossless])).is_ok());
        assert!(check(&file(&[lossy(45)])).is_ok());
        let wrong = check(&file(&[canvas, lossy(45)]));
        assert!(
            matches!(wrong, Err(ImageError::Corrupt { .. })),
            "{wrong:?}"
        );
        let frame = |width: u8| {
            let head = [0, 0, 0, 0, 0, 0, 43, 0, 0, 29, 0, 0, 0, 0, 0, 0];
            chunk(b"ANMF", &[head.as_slice(), &lossy(width)].concat())
        };
        assert!(check(&file(&[frame(44)])).is_ok());
        assert!(check(&file(&[frame(45)])).is_err());
    }

    #[test]
    fn a_chunk_must_end_within_the_file() {
        let whole = file(&[chunk(b"EXIF", b"abc"), chunk(b"XMP ", b"x")]);
        assert!(check(&whole).is_ok() && check(&whole[..whole.len() - 1]).is_ok());
        assert_eq!(exif(&whole), Some(b"abc".as_slice()));
        for cut in [13, 22, whole.len() - 2] {
            let _ = (check(&whole[..cut]), exif(&whole[..cut]));
        }
        assert!(matches!(
            check(&whole[..22]),
            Err(ImageError::Truncated { .. })
        ));
    }
}
