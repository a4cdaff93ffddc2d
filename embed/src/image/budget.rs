//! The budget of one decode: it ends when its processor time is spent or its client disconnects.
//!
//! The budget counts the thread's own processor time, so a busy machine rejects no image that an
//! idle one accepts.

use std::cell::Cell;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::ImageError;

/// Returns whether a client still waits for the result.
pub(crate) type IsWanted<'a> = &'a dyn Fn() -> bool;

/// For the header, and for all work that does not depend on the number of pixels.
const BASE: Duration = Duration::from_secs(1);
/// The slowest file measured, a lossy WebP of noise, takes 90 ns per pixel on one core of a server.
/// A progressive JPEG of noise takes 60, a photo 10.
const NANOSECONDS_PER_PIXEL: u64 = 250;

pub(super) struct Budget<'a> {
    begun: Duration,
    limit: Cell<Duration>,
    wanted: IsWanted<'a>,
    stop: Cell<Option<Stop>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Abandoned,
    Spent,
}

impl<'a> Budget<'a> {
    /// Starts the budget of work on the current thread.
    pub fn new(wanted: IsWanted<'a>) -> Self {
        Self {
            begun: thread_time(),
            limit: Cell::new(BASE),
            wanted,
            stop: Cell::new(None),
        }
    }

    /// Sets the limit to that of an image with `pixels` pixels.
    pub fn allow(&self, pixels: u64) {
        let for_pixels = pixels.saturating_mul(NANOSECONDS_PER_PIXEL);
        self.limit.set(BASE + Duration::from_nanos(for_pixels));
    }

    /// Whether the work may continue. Once this is false it stays false.
    pub fn may_continue(&self) -> bool {
        if self.stop.get().is_none() {
            let stop = if !(self.wanted)() {
                Some(Stop::Abandoned)
            } else if thread_time().saturating_sub(self.begun) > self.limit.get() {
                Some(Stop::Spent)
            } else {
                None
            };
            self.stop.set(stop);
        }
        self.stop.get().is_none()
    }

    /// The decoder's result, or the reason for the stop: decoders report a stop as an error of
    /// their own.
    pub fn conclude<T>(
        &self,
        format: &'static str,
        result: Result<T, ImageError>,
    ) -> Result<T, ImageError> {
        match self.stop.get() {
            None => result,
            Some(Stop::Abandoned) => Err(ImageError::Abandoned),
            Some(Stop::Spent) => Err(ImageError::TooCostly {
                format,
                reason: format!(
                    "it takes more than the {:.1} seconds of processor time that its size allows",
                    self.limit.get().as_secs_f64()
                ),
            }),
        }
    }

    /// Checks the budget inside a decoder's loop.
    ///
    /// # Errors
    /// [`ImageError::Abandoned`] or [`ImageError::TooCostly`].
    pub fn check(&self, format: &'static str) -> Result<(), ImageError> {
        self.may_continue();
        self.conclude(format, Ok(()))
    }
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// Reads a file in small pieces and fails once the budget is spent. Decompression expands a piece
/// at most a thousandfold, so the check is frequent enough.
pub(super) struct BudgetedReader<'a> {
    bytes: &'a [u8],
    at: usize,
    budget: &'a Budget<'a>,
    /// The piece at whose start the budget was checked.
    piece: Option<usize>,
    /// Reads since that check.
    reads: usize,
}

const PIECE: usize = 4096;
/// Reads after which the budget is checked again: some decoders read byte by byte, and some seek
/// back and forth.
const READS: usize = 1024;

impl<'a> BudgetedReader<'a> {
    pub fn new(bytes: &'a [u8], budget: &'a Budget<'a>) -> Self {
        Self {
            bytes,
            at: 0,
            budget,
            piece: None,
            reads: 0,
        }
    }
}

impl BufRead for BudgetedReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let piece = self.at / PIECE;
        self.reads += 1;
        if self.piece != Some(piece) || self.reads > READS {
            if !self.budget.may_continue() {
                return Err(io::Error::other("decoding was stopped"));
            }
            (self.piece, self.reads) = (Some(piece), 0);
        }
        let end = self.bytes.len().min((piece + 1) * PIECE);
        Ok(self.bytes.get(self.at..end).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl Read for BudgetedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl Seek for BudgetedReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => i128::from(offset),
            SeekFrom::End(offset) => self.bytes.len() as i128 + i128::from(offset),
            SeekFrom::Current(offset) => self.at as i128 + i128::from(offset),
        };
        // A position past the end is allowed: reads there return nothing.
        self.at = usize::try_from(target).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "the position is before the start",
            )
        })?;
        Ok(self.at as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_add_up_to_the_file() {
        let bytes: Vec<u8> = (0..10_000_u32).map(|n| n as u8).collect();
        let budget = Budget::new(&|| true);
        let mut read = Vec::new();
        let mut reader = BudgetedReader::new(&bytes, &budget);
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes);
        reader.seek(SeekFrom::End(-1)).unwrap();
        assert_eq!(reader.fill_buf().unwrap(), &bytes[9_999..]);
        assert_eq!(reader.seek(SeekFrom::Start(1 << 40)).unwrap(), 1 << 40);
        assert!(reader.fill_buf().unwrap().is_empty());
        assert!(reader.seek(SeekFrom::Current(-(1 << 50))).is_err());
    }

    #[test]
    fn an_unwanted_file_is_not_read_further() {
        let wanted = Cell::new(true);
        let ask = || wanted.get();
        let budget = Budget::new(&ask);
        let mut reader = BudgetedReader::new(&[0; 3 * PIECE], &budget);
        let mut piece = [0; PIECE];
        reader.read_exact(&mut piece).unwrap();
        wanted.set(false);
        assert!(reader.read_exact(&mut piece).is_err());
        let result = budget.conclude("PNG", Ok(()));
        assert!(matches!(result, Err(ImageError::Abandoned)), "{result:?}");
    }

    #[test]
    fn time_is_bounded_by_the_number_of_pixels() {
        let budget = Budget::new(&|| true);
        budget.limit.set(Duration::ZERO);
        budget.allow(1_000_000);
        assert!(budget.limit.get() > BASE);
        assert!(budget.may_continue());
        budget.limit.set(Duration::ZERO);
        assert!(!budget.may_continue());
        assert!(matches!(
            budget.check("PNG"),
            Err(ImageError::TooCostly { .. })
        ));
    }
}
