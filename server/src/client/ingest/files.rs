//! Files as they are opened: only regular ones. A pipe would be waited for without end, and a
//! device has no end.

use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Opens the file; what is none is a sentence.
pub fn open(path: &Path) -> Result<File, String> {
    let file = OpenOptions::new()
        .read(true)
        // What became a pipe since it was looked at is not waited for either.
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(|error| unreadable(&error))?;
    let about = file.metadata().map_err(|error| unreadable(&error))?;
    check(&about)?;
    Ok(file)
}

/// Whether it is a file.
pub fn check(about: &Metadata) -> Result<(), String> {
    let kind = about.file_type();
    let name = if kind.is_file() {
        return Ok(());
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_dir() {
        "a folder"
    } else {
        "a device"
    };
    Err(format!("is {name} and no file"))
}

pub fn unreadable(error: &std::io::Error) -> String {
    format!("cannot be read: {error}")
}
