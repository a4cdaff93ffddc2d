//! What a directory says of the pixels: their samples, how these are packed, and where.

use super::container::{self as tag, Directory, Order};
use super::{ImageError, damaged, unsupported};

/// What a pixel's samples mean.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Meaning<'a> {
    Grey {
        alpha: Alpha,
        inverted: bool,
    },
    Palette {
        /// Red, green and blue of each number, in 8 bits.
        colours: Vec<[u8; 3]>,
        alpha: Alpha,
    },
    Colours(Alpha),
    Inks,
    /// Luminance and colour difference; see `luminance`.
    Luminance,
    /// An older way: a JPEG file that is all of the image.
    WholeJpeg(&'a [u8]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alpha {
    None,
    Straight,
    /// Colours are multiplied by it.
    Premultiplied,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    Unsigned,
    Signed,
    Float,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    /// Rows that begin at multiples of so many bytes.
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

/// Where a strip or a tile lies in the file.
pub(super) type Chunk<'a> = &'a [u8];

pub(super) struct Layout<'a> {
    pub width: u32,
    pub height: u32,
    pub meaning: Meaning<'a>,
    /// Of each sample.
    pub bits: u32,
    pub numbers: Numbers,
    /// Of each pixel, those that mean nothing here as well.
    pub samples: usize,
    /// Each sample has chunks of its own.
    pub planar: bool,
    pub order: Order,
    pub compression: Compression,
    pub predictor: Predictor,
    /// Bits come from the low end of a byte.
    pub reversed_bits: bool,
    pub jpeg_tables: &'a [u8],
    pub chunk_width: u32,
    pub chunk_height: u32,
    pub chunks: Vec<Chunk<'a>>,
    /// Pixels across and down that share their colour difference.
    pub subsampling: (u32, u32),
    /// Shares of red, green and blue in luminance.
    pub luminance: [f32; 3],
    /// The codes of black and white of each of three components.
    pub black_white: [f32; 6],
}

impl<'a> Layout<'a> {
    pub fn of(directory: &Directory<'a>) -> Result<Self, ImageError> {
        let side = |tag, name| {
            let side = directory.required(tag, name)?;
            u32::try_from(side).map_err(|_| damaged(format!("its {name} is {side}")))
        };
        let (width, height) = (side(tag::WIDTH, "width")?, side(tag::HEIGHT, "height")?);
        let photometric = directory.number(tag::PHOTOMETRIC).unwrap_or(0);
        let code = directory.number(tag::COMPRESSION).unwrap_or(1);
        let bits = directory.numbers(tag::BITS);
        let samples = match directory.number(tag::SAMPLES) {
            Some(samples) => samples,
            None if photometric == 2 || photometric == 6 => 3,
            None => 1,
        };
        // A pixel of more than these is a measurement, not a colour.
        let samples = usize::try_from(samples)
            .ok()
            .filter(|samples| (1..=256).contains(samples))
            .ok_or_else(|| unsupported(format!("{samples} samples per pixel")))?;
        let jpeg = (code == 6).then(|| old_jpeg(directory)).transpose()?;
        let meaning = match jpeg {
            Some(jpeg) => Meaning::WholeJpeg(jpeg),
            None => meaning(directory, photometric, samples)?,
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
            numbers: numbers(directory)?,
            samples,
            planar: directory.number(tag::PLANAR) == Some(2) && samples > 1,
            order: directory.order,
            compression: compression(code, directory)?,
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
            meaning,
        };
        layout.check()?;
        Ok(layout)
    }

    fn check(&self) -> Result<(), ImageError> {
        let needs_8_bits = matches!(self.meaning, Meaning::Luminance)
            || matches!(self.compression, Compression::Jpeg);
        if needs_8_bits && (self.bits != 8 || self.numbers == Numbers::Float) {
            return Err(unsupported(format!("samples of {} bits in it", self.bits)));
        }
        let is_fax = matches!(
            self.compression,
            Compression::FaxRows(_) | Compression::Fax3 { .. } | Compression::Fax4
        );
        if is_fax && (self.bits, self.samples) != (1, 1) {
            return Err(damaged("a fax has one bit per pixel"));
        }
        if self.is_float() && !matches!(self.bits, 16 | 24 | 32 | 64) {
            return Err(unsupported(format!("floats of {} bits", self.bits)));
        }
        if self.is_float() && matches!(self.meaning, Meaning::Palette { .. }) {
            return Err(damaged("it numbers its palette in floats"));
        }
        match self.predictor {
            Predictor::Horizontal if !matches!(self.bits, 8 | 16 | 32 | 64) => Err(unsupported(
                format!("differences of samples of {} bits", self.bits),
            )),
            Predictor::Float if !self.is_float() => Err(damaged("it predicts floats and has none")),
            _ => Ok(()),
        }
    }

    pub fn is_float(&self) -> bool {
        self.numbers == Numbers::Float
    }

    /// Whether only all values together tell which of them is white.
    pub fn is_relative(&self) -> bool {
        let grey = matches!(self.meaning, Meaning::Grey { .. });
        self.is_float() || grey && (self.bits > 8 || self.numbers == Numbers::Signed)
    }

    /// How many of a pixel's first samples are looked at.
    pub fn kept(&self) -> usize {
        self.meaning.samples()
    }

    /// Whether that sample of a pixel is alpha.
    pub fn is_alpha(&self, sample: usize) -> bool {
        match &self.meaning {
            Meaning::Grey { .. } | Meaning::Palette { .. } => sample == 1,
            Meaning::Colours(_) => sample == 3,
            _ => false,
        }
    }

    /// Samples of a pixel that lie together in a chunk.
    pub fn chunk_samples(&self) -> usize {
        if self.planar { 1 } else { self.samples }
    }

    /// Whether pixels share their colour difference in the file. JPEG's decoder spreads it.
    pub fn is_subsampled(&self) -> bool {
        self.meaning == Meaning::Luminance
            && self.compression != Compression::Jpeg
            && !self.planar
            && self.subsampling != (1, 1)
    }

    /// Of a chunk's row as it is packed; of a row of groups where pixels share colours.
    pub fn row_bytes(&self) -> u64 {
        if self.is_subsampled() {
            let (across, down) = self.subsampling;
            return u64::from(self.chunk_width.div_ceil(across)) * u64::from(across * down + 2);
        }
        let bits = u64::from(self.chunk_width) * self.chunk_samples() as u64 * u64::from(self.bits);
        bits.div_ceil(8)
    }

    /// What unpacking one chunk takes.
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

impl Meaning<'_> {
    /// How many samples of a pixel it is about.
    pub fn samples(&self) -> usize {
        match self {
            Self::Grey { alpha, .. } => 1 + alpha.samples(),
            Self::Palette { alpha, .. } => 1 + alpha.samples(),
            Self::Colours(alpha) => 3 + alpha.samples(),
            Self::Luminance => 3,
            Self::Inks | Self::WholeJpeg(_) => 4,
        }
    }
}

impl Alpha {
    fn samples(self) -> usize {
        usize::from(self != Self::None)
    }
}

fn meaning<'a>(
    directory: &Directory<'_>,
    photometric: u64,
    samples: usize,
) -> Result<Meaning<'a>, ImageError> {
    let extra = directory.numbers(tag::EXTRA_SAMPLES);
    // `colours` samples come before it. Programs that forget the tag mean alpha with colours.
    let alpha = |colours: usize| match (extra.first(), samples - colours) {
        (_, 0) => Alpha::None,
        (Some(1), _) => Alpha::Premultiplied,
        (Some(2), _) => Alpha::Straight,
        (None, 1) if colours == 3 => Alpha::Straight,
        _ => Alpha::None,
    };
    let (meaning, least) = match photometric {
        0 | 1 => (
            Meaning::Grey {
                alpha: alpha(1),
                inverted: photometric == 0,
            },
            1,
        ),
        2 if samples >= 3 => (Meaning::Colours(alpha(3)), 3),
        3 => {
            let colours = palette(directory)?;
            let alpha = alpha(1);
            (Meaning::Palette { colours, alpha }, 1)
        }
        5 => (Meaning::Inks, 4),
        6 => (Meaning::Luminance, 3),
        8..=10 => return Err(unsupported("colours in CIE L*a*b*")),
        32_844 | 32_845 => return Err(unsupported("logarithms of light")),
        32_803 | 34_892 => return Err(unsupported("a camera's raw data")),
        other => {
            return Err(unsupported(format!(
                "colours of kind {other} with {samples} samples per pixel"
            )));
        }
    };
    if samples < least {
        return Err(damaged(format!("it has {samples} samples per pixel")));
    }
    Ok(meaning)
}

fn palette(directory: &Directory<'_>) -> Result<Vec<[u8; 3]>, ImageError> {
    let values = directory.numbers(tag::PALETTE);
    let length = values.len() / 3;
    if length == 0 {
        return Err(damaged("it has no palette"));
    }
    // Some programs write 8 bits where 16 are meant, as libtiff knows.
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

fn numbers(directory: &Directory<'_>) -> Result<Numbers, ImageError> {
    match directory.number(tag::SAMPLE_FORMAT) {
        // 4 says that nobody knows.
        None | Some(1 | 4) => Ok(Numbers::Unsigned),
        Some(2) => Ok(Numbers::Signed),
        Some(3) => Ok(Numbers::Float),
        Some(other) => Err(unsupported(format!("numbers of kind {other}"))),
    }
}

fn compression(code: u64, directory: &Directory<'_>) -> Result<Compression, ImageError> {
    let two_dimensions = directory.number(tag::FAX_OPTIONS).unwrap_or(0) & 1 == 1;
    Ok(match code {
        // 6 is a whole JPEG, which is not unpacked as chunks.
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
    let unreadable = || unsupported("JPEG as TIFF 6.0 had it, in parts");
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

/// Their width, height and places; plane after plane, row after row.
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
            // Old programs leave the lengths out.
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
            .ok_or_else(|| damaged("its tiles have no size"))
    };
    Ok((side(tag::TILE_WIDTH)?, side(tag::TILE_HEIGHT)?, places))
}

fn subsampling(directory: &Directory<'_>) -> (u32, u32) {
    match directory.numbers(tag::SUBSAMPLING).as_slice() {
        [across @ (1 | 2 | 4), down @ (1 | 2 | 4), ..] => (*across as u32, *down as u32),
        _ => (2, 2),
    }
}

/// `default` where the file gives none that can be calculated with.
fn coefficients<const N: usize>(given: Vec<f32>, default: [f32; N]) -> [f32; N] {
    match given.first_chunk::<N>() {
        Some(given) if given.iter().all(|value| value.is_finite()) => *given,
        _ => default,
    }
}
