//! Decompression of one strip or tile.

use std::borrow::Cow;
use std::io::{self, BufRead, Cursor, Read};

use flate2::bufread::ZlibDecoder;
use weezl::LzwStatus;
use weezl::decode::{Configuration, Decoder};

use super::error::{NAME, TRUNCATED, corrupt};
use super::fax::{self, FaxCode};
use super::layout::{Compression, Layout, Photometric};
use crate::image::ImageError;
use crate::image::budget::{Budget, BudgetedReader};
use crate::image::jpeg::{self, Components};

/// Returns a reader of the `rows` unpacked rows of a chunk.
pub(super) fn reader<'a>(
    layout: &Layout<'_>,
    chunk: &'a [u8],
    rows: u32,
    budget: &'a Budget<'a>,
) -> Result<Box<dyn Read + 'a>, ImageError> {
    let chunk = match layout.reversed_bits {
        true if layout.compression != Compression::Jpeg => {
            Cow::Owned(chunk.iter().map(|byte| byte.reverse_bits()).collect())
        }
        _ => Cow::Borrowed(chunk),
    };
    let width = layout.chunk_width;
    let faxed = |code| fax::unpack(&chunk, width, rows, code, budget).map(Cursor::new);
    Ok(match layout.compression {
        Compression::Jpeg => return jpeg_rows(layout, &chunk, rows, budget),
        Compression::FaxRows(alignment) => Box::new(faxed(FaxCode::Rows { alignment })?),
        Compression::Fax3 { two_dimensions } => Box::new(faxed(FaxCode::Three { two_dimensions })?),
        Compression::Fax4 => Box::new(faxed(FaxCode::Four)?),
        _ => match chunk {
            Cow::Borrowed(chunk) => {
                streamed(layout.compression, BudgetedReader::new(chunk, budget))?
            }
            Cow::Owned(chunk) => streamed(layout.compression, Cursor::new(chunk))?,
        },
    })
}

fn streamed<'a>(
    compression: Compression,
    chunk: impl BufRead + 'a,
) -> Result<Box<dyn Read + 'a>, ImageError> {
    Ok(match compression {
        Compression::Lzw => Box::new(Lzw {
            chunk,
            decoder: Configuration::with_tiff_size_switch(weezl::BitOrder::Msb, 8)
                .with_yield_on_full_buffer(true)
                .build(),
        }),
        Compression::Deflate => Box::new(ZlibDecoder::new(chunk)),
        Compression::PackBits => Box::new(PackBits {
            chunk,
            run: Run::Repeated { byte: 0, left: 0 },
        }),
        Compression::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(chunk);
            Box::new(decoder.map_err(|error| corrupt(error.to_string()))?)
        }
        _ => Box::new(chunk),
    })
}

fn jpeg_rows<'a>(
    layout: &Layout<'_>,
    chunk: &[u8],
    rows: u32,
    budget: &Budget<'_>,
) -> Result<Box<dyn Read + 'a>, ImageError> {
    let components = match layout.photometric {
        Photometric::YCbCr if !layout.planar => Components::Converted,
        _ => Components::Plain,
    };
    // The last strip may be encoded at full height.
    let most = u64::from(layout.chunk_width) * u64::from(layout.chunk_height.max(rows));
    let (header, samples) =
        jpeg::samples(NAME, layout.jpeg_tables, chunk, components, most, budget)?;
    if header.width != layout.chunk_width || header.channels as usize != layout.chunk_samples() {
        return Err(corrupt(
            "an embedded JPEG and its strip or tile differ in shape",
        ));
    }
    if header.height < rows {
        return Err(TRUNCATED);
    }
    Ok(Box::new(Cursor::new(samples)))
}

struct Lzw<R> {
    chunk: R,
    decoder: Decoder,
}

impl<R: BufRead> Read for Lzw<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = self.decoder.decode_bytes(self.chunk.fill_buf()?, buffer);
            self.chunk.consume(result.consumed_in);
            match result.status {
                _ if result.consumed_out > 0 => return Ok(result.consumed_out),
                Ok(LzwStatus::Done) => return Ok(0),
                Ok(_) if result.consumed_in == 0 => return Ok(0),
                Ok(_) => {}
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
    }
}

struct PackBits<R> {
    chunk: R,
    run: Run,
}

enum Run {
    Repeated { byte: u8, left: usize },
    Literal { left: usize },
}

impl<R: BufRead> PackBits<R> {
    fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.chunk.fill_buf()?.first().copied();
        self.chunk.consume(usize::from(byte.is_some()));
        Ok(byte)
    }
}

impl<R: BufRead> Read for PackBits<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match &mut self.run {
                Run::Repeated { left: 0, .. } | Run::Literal { left: 0 } => {
                    let Some(head) = self.byte()? else {
                        return Ok(0);
                    };
                    self.run = match head {
                        0..=127 => Run::Literal {
                            left: usize::from(head) + 1,
                        },
                        // No operation.
                        128 => continue,
                        _ => {
                            let Some(byte) = self.byte()? else {
                                return Ok(0);
                            };
                            let left = 257 - usize::from(head);
                            Run::Repeated { byte, left }
                        }
                    };
                }
                Run::Repeated { byte, left } => {
                    let length = buffer.len().min(*left);
                    buffer[..length].fill(*byte);
                    *left -= length;
                    return Ok(length);
                }
                Run::Literal { left } => {
                    let length = buffer.len().min(*left);
                    let read = self.chunk.read(&mut buffer[..length])?;
                    *left -= read;
                    return Ok(read);
                }
            }
        }
    }
}
