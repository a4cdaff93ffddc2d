//! The binding to `native/jpeg.c`, which calls libjpeg-turbo.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// Brings libjpeg-turbo, which `jpeg.c` calls, into the program.
use turbojpeg_sys as _;

/// As `struct clipdb_jpeg_header`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::image) struct Facts {
    pub width: u32,
    pub height: u32,
    pub components: u32,
    pub precision: u32,
    /// Bytes per pixel that are read; 0 for a number of components that means nothing.
    pub channels: u32,
    pub coefficient_bytes: u64,
}

/// As `struct clipdb_jpeg_outcome`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outcome {
    pub rows: u32,
    pub missing_rows: u32,
    pub short_scans: u32,
    pub no_end: u32,
    pub incomplete: u32,
}

/// What the components of a file mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image) enum Components {
    /// As libjpeg judges by the file's markers.
    AsMarked,
    /// What is shown, as they are.
    Plain,
    /// Luminance and two of colour difference.
    Converted,
}

/// Why there are no pixels.
#[derive(Debug)]
pub(super) enum Refusal {
    Failed(String),
    CutOff,
    Stopped,
    TooManyScans,
    NoMemory,
}

const FAILED: c_int = 1;
const STOPPED: c_int = 2;
const TOO_MANY_SCANS: c_int = 3;

/// For tables and rows of blocks, besides the coefficients of all blocks.
const SLACK: u64 = 32 << 20;

unsafe extern "C" {
    fn clipdb_jpeg_new() -> *mut c_void;
    fn clipdb_jpeg_free(jpeg: *mut c_void);
    fn clipdb_jpeg_outcome(jpeg: *const c_void) -> *const Outcome;
    fn clipdb_jpeg_message(jpeg: *const c_void) -> *const c_char;
    fn clipdb_jpeg_open(
        jpeg: *mut c_void,
        tables: *const u8,
        tables_length: usize,
        data: *const u8,
        length: usize,
        header: *mut Facts,
    ) -> c_int;
    fn clipdb_jpeg_read(
        jpeg: *mut c_void,
        pixels: *mut u8,
        plain: c_int,
        converted: c_int,
        scan_limit: c_int,
        memory_limit: usize,
        proceed: extern "C" fn(*mut c_void) -> c_int,
        context: *mut c_void,
    ) -> c_int;
}

/// A file whose header was read.
pub(super) struct Decoder<'a> {
    jpeg: NonNull<c_void>,
    facts: Facts,
    /// libjpeg keeps a pointer into the file.
    file: PhantomData<&'a [u8]>,
}

impl<'a> Decoder<'a> {
    /// `tables` may be empty.
    pub fn open(tables: &[u8], bytes: &'a [u8]) -> Result<(Self, Facts), Refusal> {
        // SAFETY: takes nothing; what it returns is freed once, by `drop`.
        let jpeg = NonNull::new(unsafe { clipdb_jpeg_new() }).ok_or(Refusal::NoMemory)?;
        let mut decoder = Self {
            jpeg,
            facts: Facts::default(),
            file: PhantomData,
        };
        // SAFETY: the pointers are of slices with their lengths and of a struct of the same
        // layout. `tables` are read before it returns, `bytes` live as long as the decoder.
        let status = unsafe {
            clipdb_jpeg_open(
                jpeg.as_ptr(),
                tables.as_ptr(),
                tables.len(),
                bytes.as_ptr(),
                bytes.len(),
                &raw mut decoder.facts,
            )
        };
        let facts = decoder.facts;
        match status {
            0 => Ok((decoder, facts)),
            status => Err(decoder.refusal(status)),
        }
    }

    /// `facts.channels` bytes per pixel, row by row, for as long as it `proceeds`.
    pub fn read(
        self,
        components: Components,
        scan_limit: u32,
        mut proceeds: &dyn Fn() -> bool,
    ) -> Result<(Vec<u8>, Outcome), Refusal> {
        let Facts {
            width,
            height,
            channels,
            ..
        } = self.facts;
        let length = width as usize * height as usize * channels as usize;
        let mut pixels = vec![0; length];
        let memory = self.facts.coefficient_bytes.saturating_add(SLACK);
        // SAFETY: libjpeg writes `height` rows of `width` pixels of `channels` bytes, the size that
        // its header gave; `header.channels` is what `jpeg.c` lets it write. `proceed` gets the
        // pointer of `proceeds`, which outlives the call. The decoder is used up by it.
        let status = unsafe {
            clipdb_jpeg_read(
                self.jpeg.as_ptr(),
                pixels.as_mut_ptr(),
                c_int::from(components == Components::Plain),
                c_int::from(components == Components::Converted),
                c_int::try_from(scan_limit).unwrap_or(c_int::MAX),
                usize::try_from(memory).unwrap_or(usize::MAX),
                proceed,
                (&raw mut proceeds).cast(),
            )
        };
        match status {
            0 => Ok((pixels, self.outcome())),
            status => Err(self.refusal(status)),
        }
    }

    fn outcome(&self) -> Outcome {
        // SAFETY: it points to a struct of the same layout within the decoder, which is alive.
        unsafe { *clipdb_jpeg_outcome(self.jpeg.as_ptr()) }
    }

    fn refusal(&self, status: c_int) -> Refusal {
        match status {
            STOPPED => Refusal::Stopped,
            TOO_MANY_SCANS => Refusal::TooManyScans,
            FAILED if self.outcome().no_end != 0 => Refusal::CutOff,
            _ => {
                // SAFETY: it points to a string within the decoder, which is alive.
                let message = unsafe { CStr::from_ptr(clipdb_jpeg_message(self.jpeg.as_ptr())) };
                Refusal::Failed(message.to_string_lossy().into_owned())
            }
        }
    }
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        // SAFETY: it was made by `clipdb_jpeg_new`, and nothing uses it any more.
        unsafe { clipdb_jpeg_free(self.jpeg.as_ptr()) }
    }
}

extern "C" fn proceed(context: *mut c_void) -> c_int {
    // SAFETY: `read` passes the pointer of its `proceeds`, which lives until the call ends.
    let proceeds = unsafe { *context.cast::<&dyn Fn() -> bool>() };
    c_int::from(proceeds())
}
