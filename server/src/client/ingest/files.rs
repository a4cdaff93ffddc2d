//! Opens regular files only. Reading a pipe could block forever, and a device has no end.

use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a regular file; any other kind is an error message.
pub fn open(path: &Path) -> Result<File, String> {
    let file = OpenOptions::new()
        .read(true)
        // Does not block on a file that was replaced by a pipe in the meantime.
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(|error| unreadable(&error))?;
    let about = file.metadata().map_err(|error| unreadable(&error))?;
    check(&about)?;
    Ok(file)
}

/// Fails unless the file is a regular one.
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
    Err(format!("is {name}, not a file"))
}

pub fn unreadable(error: &std::io::Error) -> String {
    format!("cannot be read: {error}")
}
