//! The codes of fax machines (ITU-T T.4 and T.6): one bit per pixel, as runs of white and black,
//! or as what changed from the row above.

use ::fax::BitReader;
use ::fax::maps::{Mode, black, mode, white};

use super::{ImageError, NAME, TRUNCATED, damaged};
use crate::image::budget::Budget;

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Runs alone; each row begins at a multiple of so many bytes.
    Rows {
        alignment: usize,
    },
    Three {
        two_dimensions: bool,
    },
    Four,
}

/// Rows between looks at the clock.
const ROWS_AT_ONCE: u32 = 64;

/// Rows of bits, the first pixel in the highest bit of a byte, 1 for black.
pub(super) fn unpack(
    data: &[u8],
    width: u32,
    rows: u32,
    kind: Kind,
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
        let begun = match kind {
            Kind::Rows { alignment } => {
                bits.align(8 * alignment);
                bits.runs(width, &mut row)?;
                true
            }
            Kind::Three { two_dimensions } => {
                bits.skip_end_of_line();
                if two_dimensions && bits.take(1) == 0 {
                    bits.changes(&above, width, &mut row)?
                } else {
                    bits.runs(width, &mut row)?;
                    true
                }
            }
            Kind::Four => bits.changes(&above, width, &mut row)?,
        };
        if !begun {
            // An end before the last row says that the rest is white.
            break;
        }
        blacken(target, &row, width);
        std::mem::swap(&mut above, &mut row);
    }
    Ok(unpacked)
}

/// `changes` are the places at which the colour changes, from white at first.
fn blacken(row: &mut [u8], changes: &[u32], width: u32) {
    for run in changes.chunks(2) {
        let end = run.get(1).copied().unwrap_or(width);
        for place in run[0]..end {
            row[place as usize / 8] |= 0x80 >> (place % 8);
        }
    }
}

/// Runs of no length are allowed, and any number of them is no image.
fn fits(row: &[u32], width: u32) -> Result<(), ImageError> {
    match row.len() as u64 > 2 * u64::from(width) + 2 {
        true => Err(damaged("a row of a fax never ends")),
        false => Ok(()),
    }
}

struct Bits<'a> {
    data: &'a [u8],
    /// In bits.
    at: usize,
}

impl Bits<'_> {
    fn is_over(&self) -> bool {
        self.at >= 8 * self.data.len()
    }

    fn align(&mut self, bits: usize) {
        self.at = self.at.next_multiple_of(bits);
    }

    fn look(&self, bits: u8) -> u16 {
        let byte = |place: usize| u32::from(self.data.get(place).copied().unwrap_or(0));
        let first = self.at / 8;
        let three = byte(first) << 16 | byte(first + 1) << 8 | byte(first + 2);
        let shifted = three << (8 + self.at % 8);
        // At most 16 of them.
        (u64::from(shifted) >> (32 - u32::from(bits))) as u16
    }

    fn take(&mut self, bits: u8) -> u16 {
        let value = self.look(bits);
        self.at += usize::from(bits);
        value
    }

    /// An end of line is eleven zeros or more, and a one. Rows may come without.
    fn skip_end_of_line(&mut self) {
        if self.look(11) != 0 {
            return;
        }
        while !self.is_over() && self.look(1) == 0 {
            self.at += 1;
        }
        self.at += 1;
    }

    fn run(&mut self, is_black: bool) -> Result<u32, ImageError> {
        let mut length = 0;
        loop {
            let code = match is_black {
                true => black::decode(self),
                false => white::decode(self),
            };
            match code {
                Some(code) => length += u32::from(code),
                None if self.is_over() => return Err(TRUNCATED),
                None => return Err(damaged("a run has no such code")),
            }
            // Longer runs are made of several codes.
            match code {
                Some(64..) if !self.is_over() => {}
                _ => return Ok(length),
            }
        }
    }

    /// A row of runs alone.
    fn runs(&mut self, width: u32, row: &mut Vec<u32>) -> Result<(), ImageError> {
        let mut place = 0;
        while place < width {
            fits(row, width)?;
            let length = self.run(row.len() % 2 == 1)?;
            place = place.saturating_add(length).min(width);
            row.push(place);
        }
        Ok(())
    }

    /// A row by what changed since `above`; false at the mark that ends the image.
    fn changes(
        &mut self,
        above: &[u32],
        width: u32,
        row: &mut Vec<u32>,
    ) -> Result<bool, ImageError> {
        // Before the first pixel, where a change at the very first counts.
        let mut place: Option<u32> = None;
        let mut next = 0;
        while place.unwrap_or(0) < width {
            fits(row, width)?;
            let is_black = row.len() % 2 == 1;
            // The first change above that lies behind, to the other colour.
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
            if (next % 2 == 1) != is_black {
                next += 1;
            }
            let change = |place: usize| above.get(place).copied().unwrap_or(width);
            let here = place.unwrap_or(0);
            match mode::decode(self) {
                Some(Mode::Pass) => place = Some(change(next + 1)),
                Some(Mode::Horizontal) => {
                    for is_black in [is_black, !is_black] {
                        let from = row.last().copied().unwrap_or(0).max(here);
                        let length = self.run(is_black)?;
                        row.push(from.saturating_add(length).min(width));
                    }
                    place = row.last().copied();
                }
                Some(Mode::Vertical(by)) => {
                    let to = i64::from(change(next)) + i64::from(by);
                    let to = u32::try_from(to).ok().filter(|to| *to >= here);
                    let to = to.ok_or_else(|| damaged("a row of a fax goes back"))?;
                    row.push(to.min(width));
                    place = Some(to);
                }
                Some(Mode::EOF) if place.is_none() => return Ok(false),
                _ if self.is_over() => return Err(TRUNCATED),
                _ => return Err(damaged("a row of a fax has no such code")),
            }
        }
        Ok(true)
    }
}

impl BitReader for Bits<'_> {
    type Error = std::convert::Infallible;

    fn peek(&self, bits: u8) -> Option<u16> {
        (!self.is_over()).then(|| self.look(bits))
    }

    fn consume(&mut self, bits: u8) -> Result<(), Self::Error> {
        self.at += usize::from(bits);
        Ok(())
    }

    fn bits_to_byte_boundary(&self) -> u8 {
        // Less than 8.
        (self.at.wrapping_neg() % 8) as u8
    }
}
