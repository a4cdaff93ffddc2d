//! Fax compression (ITU-T T.4 and T.6): one bit per pixel, encoded as runs of white and black or as
//! the difference from the row above.

use ::fax::BitReader;
use ::fax::maps::{Mode, black, mode, white};

use super::error::{NAME, TRUNCATED, corrupt};
use crate::image::ImageError;
use crate::image::budget::Budget;

#[derive(Debug, Clone, Copy)]
pub(super) enum FaxCode {
    /// Modified Huffman: runs only. Each row starts at a multiple of `alignment` bytes.
    Rows { alignment: usize },
    /// T.4 (group 3).
    Three { two_dimensions: bool },
    /// T.6 (group 4).
    Four,
}

/// Rows between checks of the budget.
const ROWS_AT_ONCE: u32 = 64;

/// Unpacks `rows` rows of bits: the first pixel is the highest bit of a byte, and 1 is black.
pub(super) fn unpack(
    data: &[u8],
    width: u32,
    rows: u32,
    code: FaxCode,
    budget: &Budget<'_>,
) -> Result<Vec<u8>, ImageError> {
    let row_bytes = width.div_ceil(8) as usize;
    let mut unpacked = vec![0; row_bytes * rows as usize];
    let mut bits = Bits { data, at: 0 };
    let mut above = Vec::new();
    let mut row = Vec::new();
    for (number, target) in (0..).zip(unpacked.chunks_exact_mut(row_bytes.max(1))) {
        if number % ROWS_AT_ONCE == 0 {
            budget.check(NAME)?;
        }
        row.clear();
        let begun = match code {
            FaxCode::Rows { alignment } => {
                bits.align(8 * alignment);
                bits.runs(width, &mut row)?;
                true
            }
            FaxCode::Three { two_dimensions } => {
                bits.skip_end_of_line();
                if two_dimensions && bits.take(1) == 0 {
                    bits.changes(&above, width, &mut row)?
                } else {
                    bits.runs(width, &mut row)?;
                    true
                }
            }
            FaxCode::Four => bits.changes(&above, width, &mut row)?,
        };
        if !begun {
            // If the data ends before the last row, the rest is white.
            break;
        }
        blacken(target, &row, width);
        std::mem::swap(&mut above, &mut row);
    }
    Ok(unpacked)
}

/// `changes` are the pixels at which the colour changes. A row starts white.
fn blacken(row: &mut [u8], changes: &[u32], width: u32) {
    for run in changes.chunks(2) {
        let end = run.get(1).copied().unwrap_or(width);
        for place in run[0]..end {
            row[place as usize / 8] |= 0x80 >> (place % 8);
        }
    }
}

/// Runs of length zero are allowed, but not any number of them.
fn fits(row: &[u32], width: u32) -> Result<(), ImageError> {
    match row.len() as u64 > 2 * u64::from(width) + 2 {
        true => Err(corrupt("a row of a fax never ends")),
        false => Ok(()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    White,
    Black,
}

impl Colour {
    /// The colour of a row's run number `run`, counted from 0. Runs alternate.
    fn of_run(run: usize) -> Self {
        match run % 2 {
            0 => Self::White,
            _ => Self::Black,
        }
    }

    fn opposite(self) -> Self {
        match self {
            Self::White => Self::Black,
            Self::Black => Self::White,
        }
    }
}

struct Bits<'a> {
    data: &'a [u8],
    /// The position in bits.
    at: usize,
}

impl Bits<'_> {
    fn is_over(&self) -> bool {
        self.at >= 8 * self.data.len()
    }

    fn align(&mut self, bits: usize) {
        self.at = self.at.next_multiple_of(bits);
    }

    fn peek_bits(&self, bits: u8) -> u16 {
        let byte = |place: usize| u32::from(self.data.get(place).copied().unwrap_or(0));
        let first = self.at / 8;
        let three = byte(first) << 16 | byte(first + 1) << 8 | byte(first + 2);
        let shifted = three << (8 + self.at % 8);
        // At most 16 bits.
        (u64::from(shifted) >> (32 - u32::from(bits))) as u16
    }

    fn take(&mut self, bits: u8) -> u16 {
        let value = self.peek_bits(bits);
        self.at += usize::from(bits);
        value
    }

    /// Skips an end-of-line code: at least eleven zeros and a one. A row may lack it.
    fn skip_end_of_line(&mut self) {
        if self.peek_bits(11) != 0 {
            return;
        }
        while !self.is_over() && self.peek_bits(1) == 0 {
            self.at += 1;
        }
        self.at += 1;
    }

    fn run(&mut self, colour: Colour) -> Result<u32, ImageError> {
        let mut length = 0;
        loop {
            let code = match colour {
                Colour::Black => black::decode(self),
                Colour::White => white::decode(self),
            };
            match code {
                Some(code) => length += u32::from(code),
                None if self.is_over() => return Err(TRUNCATED),
                None => return Err(corrupt("a run of a fax has an invalid code")),
            }
            // A long run consists of several codes.
            match code {
                Some(64..) if !self.is_over() => {}
                _ => return Ok(length),
            }
        }
    }

    /// Reads a row that is encoded as runs.
    fn runs(&mut self, width: u32, row: &mut Vec<u32>) -> Result<(), ImageError> {
        let mut place = 0;
        while place < width {
            fits(row, width)?;
            let length = self.run(Colour::of_run(row.len()))?;
            place = place.saturating_add(length).min(width);
            row.push(place);
        }
        Ok(())
    }

    /// Reads a row that is encoded as the difference from `above`. Returns false at the code that
    /// ends the image.
    fn changes(
        &mut self,
        above: &[u32],
        width: u32,
        row: &mut Vec<u32>,
    ) -> Result<bool, ImageError> {
        // `None` is before the first pixel: a change at the very first pixel counts.
        let mut place: Option<u32> = None;
        let mut next = 0;
        while place.unwrap_or(0) < width {
            fits(row, width)?;
            let colour = Colour::of_run(row.len());
            // Find the first change above that lies to the right and is to the other colour.
            let lies_behind = |change: u32| place.is_none_or(|place| change > place);
            let is_too_far = |next: usize| {
                above
                    .get(next - 1)
                    .is_none_or(|change| lies_behind(*change))
            };
            while next > 0 && is_too_far(next) {
                next -= 1;
            }
            while above.get(next).is_some_and(|change| !lies_behind(*change)) {
                next += 1;
            }
            if Colour::of_run(next) != colour {
                next += 1;
            }
            let change = |place: usize| above.get(place).copied().unwrap_or(width);
            let here = place.unwrap_or(0);
            match mode::decode(self) {
                Some(Mode::Pass) => place = Some(change(next + 1)),
                Some(Mode::Horizontal) => {
                    for colour in [colour, colour.opposite()] {
                        let from = row.last().copied().unwrap_or(0).max(here);
                        let length = self.run(colour)?;
                        row.push(from.saturating_add(length).min(width));
                    }
                    place = row.last().copied();
                }
                Some(Mode::Vertical(by)) => {
                    let to = i64::from(change(next)) + i64::from(by);
                    let to = u32::try_from(to).ok().filter(|to| *to >= here);
                    let to = to.ok_or_else(|| corrupt("a row of a fax goes back"))?;
                    row.push(to.min(width));
                    place = Some(to);
                }
                Some(Mode::EOF) if place.is_none() => return Ok(false),
                _ if self.is_over() => return Err(TRUNCATED),
                _ => return Err(corrupt("a row of a fax has an invalid code")),
            }
        }
        Ok(true)
    }
}

impl BitReader for Bits<'_> {
    type Error = std::convert::Infallible;

    fn peek(&self, bits: u8) -> Option<u16> {
        (!self.is_over()).then(|| self.peek_bits(bits))
    }

    fn consume(&mut self, bits: u8) -> Result<(), Self::Error> {
        self.at += usize::from(bits);
        Ok(())
    }

    fn bits_to_byte_boundary(&self) -> u8 {
        // Below 8.
        (self.at.wrapping_neg() % 8) as u8
    }
}
