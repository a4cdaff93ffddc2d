//! Numbers in memory or in a mapped file, behind one slice.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::{Advice, Mmap};

/// A segment's vectors, one behind the other.
pub(super) enum Numbers {
    /// In memory.
    Owned(Vec<f32>),
    /// In a file.
    Mapped(Mapped),
}

/// A file of little-endian `f32`, which nobody changes while it is mapped.
pub(super) struct Mapped(Mmap);

impl Numbers {
    /// Maps `path`. The file must hold whole numbers.
    pub(super) fn map(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        if length == 0 || !length.is_multiple_of(size_of::<f32>() as u64) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("it has {length} bytes, which are no whole numbers"),
            ));
        }
        // SAFETY: the file lies in the index's own folder, is never written after it has been
        // renamed into place or named by a manifest, and is only unlinked, which keeps maps.
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

    /// The bytes as they lie in the file.
    pub(super) fn as_bytes(&self) -> &[u8] {
        let numbers = self.as_slice();
        // SAFETY: the same memory, read as bytes, which have no alignment.
        unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
    }

    /// Tells the system that reads will jump about in it: reading ahead would only push out
    /// of memory what they need.
    pub(super) fn read_at_random(&self) {
        if let Self::Mapped(Mapped(map)) = self {
            // Only advice: a failure changes nothing but speed.
            let _ = map.advise(Advice::Random);
        }
    }

    /// Bytes held in memory that are no file's.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Owned(numbers) => size_of_val(numbers.as_slice()),
            Self::Mapped(_) => 0,
        }
    }
}

#[cfg(not(target_endian = "little"))]
compile_error!("the files of vectors are mapped as little-endian numbers");
