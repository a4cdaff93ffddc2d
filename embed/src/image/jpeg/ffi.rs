//! The binding to `native/jpeg.c`, which calls libjpeg-turbo.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// Links libjpeg-turbo, which `jpeg.c` calls.
use turbojpeg_sys as _;

/// Mirrors `struct clipdb_jpeg_header`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::image) struct JpegHeader {
    pub width: u32,
    pub height: u32,
    pub components: u32,
    pub precision: u32,
    /// Bytes per pixel of the output; 0 if the number of components is not supported.
    pub channels: u32,
    /// Memory that libjpeg needs for the coefficients of a file with several scans.
    pub coefficient_bytes: u64,
}

/// Mirrors `struct clipdb_jpeg_outcome`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outcome {
    pub rows: u32,
    pub missing_rows: u32,
    pub short_scans: u32,
    pub no_end: u32,
    pub incomplete: u32,
}

/// The colour model of a file's components. Mirrors `enum clipdb_jpeg_components`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image) enum Components {
    /// Decided by libjpeg from the file's markers.
    AsMarked = 0,
    /// Grey, RGB or CMYK, stored without conversion.
    Plain = 1,
    /// YCbCr.
    Converted = 2,
}

/// The reason for a failure to decode.
#[derive(Debug)]
pub(super) enum JpegFailure {
    Failed(String),
    Truncated,
    Stopped,
    TooManyScans,
    NoMemory,
}

const FAILED: c_int = 1;
const STOPPED: c_int = 2;
const TOO_MANY_SCANS: c_int = 3;

/// Memory for tables and rows of blocks, in addition to the coefficients of all blocks.
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
        header: *mut JpegHeader,
    ) -> c_int;
    fn clipdb_jpeg_read(
        jpeg: *mut c_void,
        pixels: *mut u8,
        components: Components,
        scan_limit: c_int,
        memory_limit: usize,
        proceed: extern "C" fn(*mut c_void) -> c_int,
        context: *mut c_void,
    ) -> c_int;
}

/// A file whose header has been read.
pub(super) struct Decoder<'a> {
    jpeg: NonNull<c_void>,
    header: JpegHeader,
    /// libjpeg keeps a pointer into the file's bytes.
    file: PhantomData<&'a [u8]>,
}

impl<'a> Decoder<'a> {
    /// Reads the header. `tables` holds tables that are stored outside of the file, or is empty.
    pub fn open(tables: &[u8], bytes: &'a [u8]) -> Result<(Self, JpegHeader), JpegFailure> {
        // SAFETY: it has no arguments; `drop` frees the result exactly once.
        let jpeg = NonNull::new(unsafe { clipdb_jpeg_new() }).ok_or(JpegFailure::NoMemory)?;
        let mut decoder = Self {
            jpeg,
            header: JpegHeader::default(),
            file: PhantomData,
        };
        // SAFETY: the pointers belong to slices with their lengths and to a struct of the same
        // layout. `tables` is read before it returns; `bytes` lives as long as the decoder.
        let status = unsafe {
            clipdb_jpeg_open(
                jpeg.as_ptr(),
                tables.as_ptr(),
                tables.len(),
                bytes.as_ptr(),
                bytes.len(),
                &raw mut decoder.header,
            )
        };
        let header = decoder.header;
        match status {
            0 => Ok((decoder, header)),
            status => Err(decoder.failure(status)),
        }
    }

    /// Decodes the pixels as `[height, width, channels]`, while `may_continue` returns true.
    pub fn read(
        self,
        components: Components,
        scan_limit: u32,
        mut may_continue: &dyn Fn() -> bool,
    ) -> Result<(Vec<u8>, Outcome), JpegFailure> {
        let JpegHeader {
            width,
            height,
            channels,
            ..
        } = self.header;
        let length = width as usize * height as usize * channels as usize;
        let mut pixels = vec![0; length];
        let memory = self.header.coefficient_bytes.saturating_add(SLACK);
        // SAFETY: libjpeg writes `height` rows of `width` pixels of `channels` bytes: the size from
        // the header, and `jpeg.c` selects an output with `header.channels` channels. `proceed`
        // gets a pointer to `may_continue`, which outlives the call. The call consumes `self`.
        let status = unsafe {
            clipdb_jpeg_read(
                self.jpeg.as_ptr(),
                pixels.as_mut_ptr(),
                components,
                c_int::try_from(scan_limit).unwrap_or(c_int::MAX),
                usize::try_from(memory).unwrap_or(usize::MAX),
                proceed,
                (&raw mut may_continue).cast(),
            )
        };
        match status {
            0 => Ok((pixels, self.outcome())),
            status => Err(self.failure(status)),
        }
    }

    fn outcome(&self) -> Outcome {
        // SAFETY: it points to a struct of the same layout inside the decoder, which is alive.
        unsafe { *clipdb_jpeg_outcome(self.jpeg.as_ptr()) }
    }

    fn failure(&self, status: c_int) -> JpegFailure {
        match status {
            STOPPED => JpegFailure::Stopped,
            TOO_MANY_SCANS => JpegFailure::TooManyScans,
            FAILED if self.outcome().no_end != 0 => JpegFailure::Truncated,
            _ => {
                // SAFETY: it points to a C string inside the decoder, which is alive.
                let message = unsafe { CStr::from_ptr(clipdb_jpeg_message(self.jpeg.as_ptr())) };
                JpegFailure::Failed(message.to_string_lossy().into_owned())
            }
        }
    }
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        // SAFETY: `clipdb_jpeg_new` created it, and this is the last use.
        unsafe { clipdb_jpeg_free(self.jpeg.as_ptr()) }
    }
}

extern "C" fn proceed(context: *mut c_void) -> c_int {
    // SAFETY: `read` passes a pointer to its `may_continue`, which lives until the call returns.
    let may_continue = unsafe { *context.cast::<&dyn Fn() -> bool>() };
    c_int::from(may_continue())
}
