//! A slice of `f32` in memory or in a mapped file.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::{Advice, Mmap};

/// Contiguous `f32` values: a segment's vectors, or its codes and their scales as raw bytes.
pub(super) enum F32Buffer {
    /// In memory.
    Owned(Vec<f32>),
    /// In a file.
    Mapped(Mapped),
}

/// A mapped file of little-endian `f32`. Nothing changes the file while it is mapped.
pub(super) struct Mapped(Mmap);

impl F32Buffer {
    /// Maps `path`. The length of the file must be a positive multiple of four bytes.
    pub(super) fn map(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        if length == 0 || !length.is_multiple_of(size_of::<f32>() as u64) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("its length of {length} bytes is not a positive multiple of 4"),
            ));
        }
        // SAFETY: the file is in the index's own folder, is never written after it was renamed
        // into place or named by a manifest, and is only unlinked, which keeps maps valid.
        let map = unsafe { Mmap::map(&file) }?;
        Ok(Self::Mapped(Mapped(map)))
    }

    pub(super) fn as_slice(&self) -> &[f32] {
        match self {
            Self::Owned(numbers) => numbers,
            Self::Mapped(Mapped(map)) => {
                // SAFETY: a map begins at a page, so it is aligned; every pattern of bits is
                // an f32; its length was checked to be a multiple of four.
                unsafe {
                    std::slice::from_raw_parts(map.as_ptr().cast(), map.len() / size_of::<f32>())
                }
            }
        }
    }

    /// The bytes of the file.
    pub(super) fn as_bytes(&self) -> &[u8] {
        let numbers = self.as_slice();
        // SAFETY: the same memory, read as bytes, which have no alignment.
        unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
    }

    /// Advises the operating system that reads will be random: read-ahead would only evict
    /// pages that are needed.
    pub(super) fn expect_random_reads(&self) {
        if let Self::Mapped(Mapped(map)) = self {
            // A failure affects nothing except speed.
            let _ = map.advise(Advice::Random);
        }
    }

    /// Bytes of memory, without mapped files.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Owned(numbers) => size_of_val(numbers.as_slice()),
            Self::Mapped(_) => 0,
        }
    }
}

#[cfg(not(target_endian = "little"))]
compile_error!("vector files are mapped as little-endian numbers");
