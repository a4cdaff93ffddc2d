//! Pillow's resampling: adaptive filters (antialiased), 8 bits between the two passes,
//! rows before columns. Only the part that is wanted is computed, so a picture of
//! 1 × 60,000 pixels costs no more than its crop.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use super::ImageError;

/// A rectangle of the resized picture, in its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    pub left: u64,
    pub top: u64,
    pub width: u32,
    pub height: u32,
}

/// Pixels row by row.
pub(super) struct Raster<'a> {
    pub width: u32,
    pub height: u32,
    pub data: &'a [u8],
}

/// `part` of what `source`, whose pixels are `P`, would be when resized to `full`
/// (width, height). Typed, since the untyped call compiles every pixel type there is.
pub(super) fn resize_part<P: PixelTrait>(
    source: &Raster<'_>,
    full: (u64, u64),
    part: Region,
    filter: FilterType,
) -> Result<Vec<u8>, ImageError> {
    let across = Span::new(source.width, full.0, part.left, part.width);
    let down = Span::new(source.height, full.1, part.top, part.height);
    let rows = down.support(filter);
    let columns = across.support(filter);
    // Pillow's order, except where a very tall picture squeezed into a square would
    // make the intermediate picture huge.
    let rows_first = u64::from(part.width) * u64::from(rows.length)
        <= u64::from(part.height) * u64::from(columns.length) * 64;
    let resize = |from: &Raster<'_>, to: (u32, u32), across: Span, down: Span| {
        pass::<P>(from, to, across, down, filter)
    };
    if rows_first {
        let between = resize(
            source,
            (part.width, rows.length),
            across,
            rows.whole(source.height),
        )?;
        let between = Raster {
            width: part.width,
            height: rows.length,
            data: &between,
        };
        let all = Span::all(part.width);
        resize(&between, (part.width, part.height), all, down.after(rows))
    } else {
        let between = resize(
            source,
            (columns.length, part.height),
            columns.whole(source.width),
            down,
        )?;
        let between = Raster {
            width: columns.length,
            height: part.height,
            data: &between,
        };
        let all = Span::all(part.height);
        resize(
            &between,
            (part.width, part.height),
            across.after(columns),
            all,
        )
    }
}

fn pass<P: PixelTrait>(
    from: &Raster<'_>,
    (width, height): (u32, u32),
    across: Span,
    down: Span,
    filter: FilterType,
) -> Result<Vec<u8>, ImageError> {
    let failed = |reason: String| ImageError::Damaged {
        format: "picture",
        reason,
    };
    let source = TypedImageRef::<P>::from_buffer(from.width, from.height, from.data)
        .map_err(|error| failed(error.to_string()))?;
    let mut data = vec![0; width as usize * height as usize * P::size()];
    let mut target = TypedImage::<P>::from_buffer(width, height, &mut data)
        .map_err(|error| failed(error.to_string()))?;
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(filter))
        .crop(across.start, down.start, across.length, down.length);
    Resizer::new()
        .resize_typed(&source, &mut target, &options)
        .map_err(|error| failed(error.to_string()))?;
    Ok(data)
}

/// Along one axis, the stretch of the source that a stretch of the result is made of.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: f64,
    length: f64,
    /// Source pixels per resulting pixel.
    scale: f64,
    source: u32,
}

/// Whole source pixels along one axis.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    start: u32,
    length: u32,
}

impl Span {
    fn new(source: u32, full: u64, start: u64, length: u32) -> Self {
        let scale = f64::from(source) / full as f64;
        let start = start as f64 * scale;
        Self {
            start,
            length: (f64::from(length) * scale).min(f64::from(source) - start),
            scale,
            source,
        }
    }

    fn all(length: u32) -> Self {
        Self {
            start: 0.0,
            length: f64::from(length),
            scale: 1.0,
            source: length,
        }
    }

    /// The source pixels that the filter reaches, with one to spare for rounding.
    fn support(&self, filter: FilterType) -> Stretch {
        let reach = match filter {
            FilterType::Box => 0.5,
            FilterType::Bilinear | FilterType::Hamming => 1.0,
            FilterType::CatmullRom => 2.0,
            _ => 3.0,
        } * self.scale.max(1.0)
            + 1.0;
        let start = (self.start - reach).floor().max(0.0) as u32;
        let end = (self.start + self.length + reach).ceil() as u32;
        Stretch {
            start,
            length: end.min(self.source) - start,
        }
    }

    /// The same, counted from where `stretch` starts.
    fn after(self, stretch: Stretch) -> Self {
        Self {
            start: self.start - f64::from(stretch.start),
            length: self
                .length
                .min(f64::from(stretch.length) - (self.start - f64::from(stretch.start))),
            ..self
        }
    }
}

impl Stretch {
    /// Taken as it is, without resizing.
    fn whole(self, source: u32) -> Span {
        Span {
            start: f64::from(self.start),
            length: f64::from(self.length),
            scale: 1.0,
            source,
        }
    }
}
