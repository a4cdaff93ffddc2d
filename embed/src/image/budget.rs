//! What decoding one image may cost: a bound on its time, and an end when its client is gone.
//!
//! Time is the decoding thread's own processor time, so that a busy machine refuses nothing that
//! an idle one takes.

use std::cell::Cell;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::ImageError;

/// Whether anyone still waits for the result.
pub(crate) type Wanted<'a> = &'a dyn Fn() -> bool;

/// Reading a header, and whatever an image takes apart from its pixels.
const BASE: Duration = Duration::from_secs(1);
/// Per pixel. The slowest file measured, a lossy WebP of noise, takes 90 on one core of a server; a
/// progressive JPEG of noise 60, a photo 10.
const NANOSECONDS_PER_PIXEL: u64 = 250;

pub(super) struct Budget<'a> {
    begun: Duration,
    limit: Cell<Duration>,
    wanted: Wanted<'a>,
    stop: Cell<Option<Stop>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Abandoned,
    Spent,
}

impl<'a> Budget<'a> {
    /// For work of this thread that begins now.
    pub fn new(wanted: Wanted<'a>) -> Self {
        Self {
            begun: thread_time(),
            limit: Cell::new(BASE),
            wanted,
            stop: Cell::new(None),
        }
    }

    /// Allows what an image of so many pixels may take.
    pub fn allow(&self, pixels: u64) {
        let for_pixels = pixels.saturating_mul(NANOSECONDS_PER_PIXEL);
        self.limit.set(BASE + Duration::from_nanos(for_pixels));
    }

    /// Whether the work may go on. Once it may not, it never may again.
    pub fn proceeds(&self) -> bool {
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

    /// What a decoder found, or why it was stopped, which it reports in its own ways.
    pub fn settle<T>(
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
                    "it takes more than the {:.1} seconds of a processor that its size allows",
                    self.limit.get().as_secs_f64()
                ),
            }),
        }
    }

    /// For decoders' own loops.
    pub fn check(&self, format: &'static str) -> Result<(), ImageError> {
        self.proceeds();
        self.settle(format, Ok(()))
    }
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// A file's bytes in small pieces, none of them once the budget is spent. A piece inflates to a
/// thousand times its size at most.
pub(super) struct Paced<'a> {
    bytes: &'a [u8],
    at: usize,
    budget: &'a Budget<'a>,
    /// Whose beginning the budget was asked for, and the reads of it since.
    piece: Option<usize>,
    reads: usize,
}

const PIECE: usize = 4096;
/// Some decoders read byte by byte, and some go back and forth.
const READS: usize = 1024;

impl<'a> Paced<'a> {
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

impl BufRead for Paced<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let piece = self.at / PIECE;
        self.reads += 1;
        if self.piece != Some(piece) || self.reads > READS {
            if !self.budget.proceeds() {
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

impl Read for Paced<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl Seek for Paced<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => i128::from(offset),
            SeekFrom::End(offset) => self.bytes.len() as i128 + i128::from(offset),
            SeekFrom::Current(offset) => self.at as i128 + i128::from(offset),
        };
        // Past the end is allowed: there is nothing to read.
        self.at = usize::try_from(target).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, "a place before the beginning")
        })?;
        Ok(self.at as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole_file() {
        let bytes: Vec<u8> = (0..10_000_u32).map(|n| n as u8).collect();
        let budget = Budget::new(&|| true);
        let mut read = Vec::new();
        let mut paced = Paced::new(&bytes, &budget);
        paced.read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes);
        paced.seek(SeekFrom::End(-1)).unwrap();
        assert_eq!(paced.fill_buf().unwrap(), &bytes[9_999..]);
        assert_eq!(paced.seek(SeekFrom::Start(1 << 40)).unwrap(), 1 << 40);
        assert!(paced.fill_buf().unwrap().is_empty());
        assert!(paced.seek(SeekFrom::Current(-(1 << 50))).is_err());
    }

    #[test]
    fn what_nobody_waits_for_is_not_read_on() {
        let wanted = Cell::new(true);
        let ask = || wanted.get();
        let budget = Budget::new(&ask);
        let mut paced = Paced::new(&[0; 3 * PIECE], &budget);
        let mut piece = [0; PIECE];
        paced.read_exact(&mut piece).unwrap();
        wanted.set(false);
        assert!(paced.read_exact(&mut piece).is_err());
        let result = budget.settle("PNG", Ok(()));
        assert!(matches!(result, Err(ImageError::Abandoned)), "{result:?}");
    }

    #[test]
    fn time_is_bounded_and_pixels_buy_some() {
        let budget = Budget::new(&|| true);
        budget.limit.set(Duration::ZERO);
        budget.allow(1_000_000);
        assert!(budget.limit.get() > BASE);
        assert!(budget.proceeds());
        budget.limit.set(Duration::ZERO);
        assert!(!budget.proceeds());
        assert!(matches!(
            budget.check("PNG"),
            Err(ImageError::TooCostly { .. })
        ));
    }
}
