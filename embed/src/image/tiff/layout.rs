//! The pixel layout that a directory describes: sample format, compression, strips and tiles.

use super::directory::{self as tag, ByteOrder, Directory};
use super::error::{corrupt, unsupported};
use crate::image::ImageError;

/// The colour model of a pixel's samples (photometric interpretation).
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Photometric<'a> {
    Grey {
        alpha: Alpha,
        inverted: bool,
    },
    Palette {
        /// The 8-bit RGB colour of each index.
        colours: Vec<[u8; 3]>,
        alpha: Alpha,
    },
    Rgb(Alpha),
    Cmyk,
    /// Luminance and colour difference; see `ycbcr`.
    YCbCr,
    /// Old-style JPEG compression (TIFF 6.0): one JPEG file holds the complete image.
    EmbeddedJpeg(&'a [u8]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alpha {
    None,
    Straight,
    /// The colours are multiplied by alpha.
    Premultiplied,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SampleFormat {
    Unsigned,
    Signed,
    Float,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    /// Modified Huffman; each row starts at a multiple of this many bytes.
    FaxRows(usize),
    Fax3 {
        two_dimensions: bool,
    },
    Fax4,
    Lzw,
    Jpeg,
    Deflate,
    PackBits,
    Zstd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Predictor {
    None,
    Horizontal,
    Float,
}

/// The compressed bytes of a strip or a tile.
pub(super) type Chunk<'a> = &'a [u8];

pub(super) struct Layout<'a> {
    pub width: u32,
    pub height: u32,
    pub photometric: Photometric<'a>,
    /// Bits per sample.
    pub bits: u32,
    pub sample_format: SampleFormat,
    /// Samples per pixel, including unused ones.
    pub samples: usize,
    /// Each sample has separate chunks.
    pub planar: bool,
    pub order: ByteOrder,
    pub compression: Compression,
    pub predictor: Predictor,
    /// The lowest bit of a byte comes first.
    pub reversed_bits: bool,
    pub jpeg_tables: &'a [u8],
    pub chunk_width: u32,
    pub chunk_height: u32,
    pub chunks: Vec<Chunk<'a>>,
    /// The number of pixels, across and down, that share one colour difference.
    pub subsampling: (u32, u32),
    /// The weights of red, green and blue in luminance.
    pub luminance: [f32; 3],
    /// The codes for black and white, for each of the three components.
    pub black_white: [f32; 6],
}

impl<'a> Layout<'a> {
    pub fn of(directory: &Directory<'a>) -> Result<Self, ImageError> {
        let side = |tag, name| {
            let side = directory.required(tag, name)?;
            u32::try_from(side).map_err(|_| corrupt(format!("its {name} is {side}")))
        };
        let (width, height) = (side(tag::WIDTH, "width")?, side(tag::HEIGHT, "height")?);
        let photometric_code = directory.number(tag::PHOTOMETRIC).unwrap_or(0);
        let compression_code = directory.number(tag::COMPRESSION).unwrap_or(1);
        let bits = directory.numbers(tag::BITS);
        let samples = match directory.number(tag::SAMPLES) {
            Some(samples) => samples,
            None if photometric_code == 2 || photometric_code == 6 => 3,
            None => 1,
        };
        // A pixel with more samples is a measurement, not a colour.
        let samples = usize::try_from(samples)
            .ok()
            .filter(|samples| (1..=256).contains(samples))
            .ok_or_else(|| unsupported(format!("{samples} samples per pixel")))?;
        let jpeg = (compression_code == 6)
            .then(|| old_jpeg(directory))
            .transpose()?;
        let photometric = match jpeg {
            Some(jpeg) => Photometric::EmbeddedJpeg(jpeg),
            None => colour_model(directory, photometric_code, samples)?,
        };
        let used = &bits[..bits.len().min(samples)];
        let first = used.first().copied().unwrap_or(1);
        if used.iter().any(|bits| *bits != first) || !(1..=64).contains(&first) {
            return Err(unsupported(format!("samples of {used:?} bits")));
        }
        let (chunk_width, chunk_height, chunks) = chunks(directory, (width, height))?;
        let layout = Self {
            width,
            height,
            bits: first as u32,
            sample_format: sample_format(directory)?,
            samples,
            planar: directory.number(tag::PLANAR) == Some(2) && samples > 1,
            order: directory.order,
            compression: compression(compression_code, directory)?,
            predictor: match directory.number(tag::PREDICTOR) {
                None | Some(1) => Predictor::None,
                Some(2) => Predictor::Horizontal,
                Some(3) => Predictor::Float,
                Some(other) => return Err(unsupported(format!("predictor {other}"))),
            },
            reversed_bits: directory.number(tag::FILL_ORDER) == Some(2),
            jpeg_tables: directory.bytes(tag::JPEG_TABLES),
            chunk_width,
            chunk_height,
            chunks,
            subsampling: subsampling(directory),
            luminance: coefficients(directory.fractions(tag::LUMINANCE), [0.299, 0.587, 0.114]),
            black_white: coefficients(
                directory.fractions(tag::BLACK_WHITE),
                [0.0, 255.0, 128.0, 255.0, 128.0, 255.0],
            ),
            photometric,
        };
        layout.check()?;
        Ok(layout)
    }

    fn check(&self) -> Result<(), ImageError> {
        let needs_8_bits = matches!(self.photometric, Photometric::YCbCr)
            || matches!(self.compression, Compression::Jpeg);
        if needs_8_bits && (self.bits != 8 || self.sample_format == SampleFormat::Float) {
            return Err(unsupported(format!("{} bits per sample in it", self.bits)));
        }
        let is_fax = matches!(
            self.compression,
            Compression::FaxRows(_) | Compression::Fax3 { .. } | Compression::Fax4
        );
        if is_fax && (self.bits, self.samples) != (1, 1) {
            return Err(corrupt("a fax has one bit per pixel"));
        }
        if self.is_float() && !matches!(self.bits, 16 | 24 | 32 | 64) {
            return Err(unsupported(format!("floats of {} bits", self.bits)));
        }
        if self.is_float() && matches!(self.photometric, Photometric::Palette { .. }) {
            return Err(corrupt("its palette indices are floats"));
        }
        match self.predictor {
            Predictor::Horizontal if !matches!(self.bits, 8 | 16 | 32 | 64) => Err(unsupported(
                format!("differences of samples of {} bits", self.bits),
            )),
            Predictor::Float if !self.is_float() => {
                Err(corrupt("it has a predictor for floats, and no floats"))
            }
            _ => Ok(()),
        }
    }

    pub fn is_float(&self) -> bool {
        self.sample_format == SampleFormat::Float
    }

    /// Whether white is defined by the range of the values; see `white_level`.
    pub fn is_relative(&self) -> bool {
        let grey = matches!(self.photometric, Photometric::Grey { .. });
        self.is_float() || grey && (self.bits > 8 || self.sample_format == SampleFormat::Signed)
    }

    /// The number of leading samples per pixel that are used.
    pub fn kept(&self) -> usize {
        self.photometric.samples()
    }

    /// Whether sample number `sample` of a pixel is alpha.
    pub fn is_alpha(&self, sample: usize) -> bool {
        match &self.photometric {
            Photometric::Grey { .. } | Photometric::Palette { .. } => sample == 1,
            Photometric::Rgb(_) => sample == 3,
            _ => false,
        }
    }

    /// Samples per pixel in one chunk.
    pub fn chunk_samples(&self) -> usize {
        if self.planar { 1 } else { self.samples }
    }

    /// Whether pixels share a colour difference in the unpacked data. The JPEG decoder resolves its
    /// own subsampling.
    pub fn is_subsampled(&self) -> bool {
        self.photometric == Photometric::YCbCr
            && self.compression != Compression::Jpeg
            && !self.planar
            && self.subsampling != (1, 1)
    }

    /// Bytes per unpacked row of a chunk. With subsampling a row consists of groups of pixels.
    pub fn row_bytes(&self) -> u64 {
        if self.is_subsampled() {
            let (across, down) = self.subsampling;
            return u64::from(self.chunk_width.div_ceil(across)) * u64::from(across * down + 2);
        }
        let bits = u64::from(self.chunk_width) * self.chunk_samples() as u64 * u64::from(self.bits);
        bits.div_ceil(8)
    }

    /// The memory for unpacking one chunk, in bytes.
    pub fn chunk_memory(&self) -> u64 {
        let rows = u64::from(self.chunk_height.min(self.height));
        match self.compression {
            Compression::Jpeg
            | Compression::FaxRows(_)
            | Compression::Fax3 { .. }
            | Compression::Fax4 => 2 * self.row_bytes() * rows,
            _ => 16 * self.row_bytes(),
        }
    }
}

impl Photometric<'_> {
    /// Samples per pixel that the colour model uses.
    pub fn samples(&self) -> usize {
        match self {
            Self::Grey { alpha, .. } => 1 + alpha.samples(),
            Self::Palette { alpha, .. } => 1 + alpha.samples(),
            Self::Rgb(alpha) => 3 + alpha.samples(),
            Self::YCbCr => 3,
            Self::Cmyk | Self::EmbeddedJpeg(_) => 4,
        }
    }
}

impl Alpha {
    fn samples(self) -> usize {
        usize::from(self != Self::None)
    }
}

fn colour_model<'a>(
    directory: &Directory<'_>,
    code: u64,
    samples: usize,
) -> Result<Photometric<'a>, ImageError> {
    let extra = directory.numbers(tag::EXTRA_SAMPLES);
    // Alpha follows `colours` other samples. Without the tag, a fourth sample after RGB is alpha.
    let alpha = |colours: usize| match (extra.first(), samples - colours) {
        (_, 0) => Alpha::None,
        (Some(1), _) => Alpha::Premultiplied,
        (Some(2), _) => Alpha::Straight,
        (None, 1) if colours == 3 => Alpha::Straight,
        _ => Alpha::None,
    };
    let (photometric, least) = match code {
        0 | 1 => (
            Photometric::Grey {
                alpha: alpha(1),
                inverted: code == 0,
            },
            1,
        ),
        2 if samples >= 3 => (Photometric::Rgb(alpha(3)), 3),
        3 => {
            let colours = palette(directory)?;
            let alpha = alpha(1);
            (Photometric::Palette { colours, alpha }, 1)
        }
        5 => (Photometric::Cmyk, 4),
        6 => (Photometric::YCbCr, 3),
        8..=10 => return Err(unsupported("colours in CIE L*a*b*")),
        32_844 | 32_845 => return Err(unsupported("logarithmic luminance")),
        32_803 | 34_892 => return Err(unsupported("a camera's raw data")),
        other => {
            return Err(unsupported(format!(
                "colours of kind {other} with {samples} samples per pixel"
            )));
        }
    };
    if samples < least {
        return Err(corrupt(format!("it has {samples} samples per pixel")));
    }
    Ok(photometric)
}

fn palette(directory: &Directory<'_>) -> Result<Vec<[u8; 3]>, ImageError> {
    let values = directory.numbers(tag::PALETTE);
    let length = values.len() / 3;
    if length == 0 {
        return Err(corrupt("it has no palette"));
    }
    // Some programs write 8-bit values instead of 16-bit ones; libtiff handles this too.
    let shift = if values.iter().all(|value| *value < 256) {
        0
    } else {
        8
    };
    let level = |place: usize| (values[place] >> shift).min(255) as u8;
    Ok((0..length)
        .map(|number| {
            [
                level(number),
                level(length + number),
                level(2 * length + number),
            ]
        })
        .collect())
}

fn sample_format(directory: &Directory<'_>) -> Result<SampleFormat, ImageError> {
    match directory.number(tag::SAMPLE_FORMAT) {
        // 4 means undefined.
        None | Some(1 | 4) => Ok(SampleFormat::Unsigned),
        Some(2) => Ok(SampleFormat::Signed),
        Some(3) => Ok(SampleFormat::Float),
        Some(other) => Err(unsupported(format!("sample format {other}"))),
    }
}

fn compression(code: u64, directory: &Directory<'_>) -> Result<Compression, ImageError> {
    let two_dimensions = directory.number(tag::FAX_OPTIONS).unwrap_or(0) & 1 == 1;
    Ok(match code {
        // 6 is an embedded JPEG, which is not stored in chunks.
        1 | 6 => Compression::None,
        2 => Compression::FaxRows(1),
        3 => Compression::Fax3 { two_dimensions },
        4 => Compression::Fax4,
        5 => Compression::Lzw,
        7 => Compression::Jpeg,
        8 | 32_946 => Compression::Deflate,
        32_771 => Compression::FaxRows(2),
        32_773 => Compression::PackBits,
        50_000 => Compression::Zstd,
        other => return Err(unsupported(format!("compression {other}"))),
    })
}

fn old_jpeg<'a>(directory: &Directory<'a>) -> Result<&'a [u8], ImageError> {
    let unreadable = || unsupported("old-style JPEG (TIFF 6.0) in several parts");
    let at = directory
        .number(tag::OLD_JPEG)
        .or_else(|| directory.number(tag::STRIP_OFFSETS))
        .and_then(|at| usize::try_from(at).ok())
        .ok_or_else(unreadable)?;
    let jpeg = directory.file.get(at..).unwrap_or_default();
    let length = directory
        .number(tag::OLD_JPEG_LENGTH)
        .and_then(|length| usize::try_from(length).ok());
    let jpeg = length.and_then(|length| jpeg.get(..length)).unwrap_or(jpeg);
    match jpeg.starts_with(b"\xFF\xD8") {
        true => Ok(jpeg),
        false => Err(unreadable()),
    }
}

/// The width, height and bytes of all chunks, ordered by plane, then by row.
fn chunks<'a>(
    directory: &Directory<'a>,
    (width, height): (u32, u32),
) -> Result<(u32, u32, Vec<Chunk<'a>>), ImageError> {
    let file = directory.file;
    let tiled = directory.number(tag::TILE_WIDTH).is_some();
    let (offsets, lengths) = if tiled {
        (tag::TILE_OFFSETS, tag::TILE_LENGTHS)
    } else {
        (tag::STRIP_OFFSETS, tag::STRIP_LENGTHS)
    };
    let (offsets, lengths) = (directory.numbers(offsets), directory.numbers(lengths));
    let places = offsets.iter().enumerate().map(|(number, offset)| {
        let from = usize::try_from(*offset)
            .unwrap_or(usize::MAX)
            .min(file.len());
        let length = match lengths.get(number) {
            Some(length) => usize::try_from(*length).unwrap_or(usize::MAX),
            // Old programs omit the lengths.
            None => usize::MAX,
        };
        &file[from..from.saturating_add(length).min(file.len())]
    });
    let places = places.collect();
    if !tiled {
        let rows = directory.number(tag::ROWS_PER_STRIP).unwrap_or(0);
        let rows = u32::try_from(rows).unwrap_or(u32::MAX).min(height);
        return Ok((width, if rows == 0 { height } else { rows }, places));
    }
    let side = |tag| {
        directory
            .number(tag)
            .and_then(|side| u32::try_from(side).ok())
            .filter(|side| *side > 0)
            .ok_or_else(|| corrupt("its tiles have no size"))
    };
    Ok((side(tag::TILE_WIDTH)?, side(tag::TILE_HEIGHT)?, places))
}

fn subsampling(directory: &Directory<'_>) -> (u32, u32) {
    match directory.numbers(tag::SUBSAMPLING).as_slice() {
        [across @ (1 | 2 | 4), down @ (1 | 2 | 4), ..] => (*across as u32, *down as u32),
        _ => (2, 2),
    }
}

/// The given coefficients, or `default` if there are too few or one is not finite.
fn coefficients<const N: usize>(given: Vec<f32>, default: [f32; N]) -> [f32; N] {
    match given.first_chunk::<N>() {
        Some(given) if given.iter().all(|value| value.is_finite()) => *given,
        _ => default,
    }
}
