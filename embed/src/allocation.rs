//! The process's memory: settings of glibc's allocator, and pages that are not needed again.
//!
//! The allocator reuses the memory of large tensors, in few arenas.
//!
//! By default glibc maps each large tensor separately and unmaps it when it is freed. Every
//! operation then faults its pages in again, and a depthwise convolution takes six times as long.
//! LibTorch calls `malloc` directly, so a Rust global allocator would not help.
//!
//! Freed memory stays in its arena, and an arena grows to the largest need of any of its threads.
//! glibc creates up to eight arenas per core; a limit of two bounds the total.
#![allow(unsafe_code)]

use std::sync::Once;

use clipdb_models::EmbeddedFile;

/// Returns free memory to the kernel. Loading a model needs more than its weights, and that memory
/// is not needed again.
pub(crate) fn trim_malloc() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` takes an integer, touches only free memory and is thread-safe.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Gives the pages of a file in the binary back to the kernel. It reads them from the binary again when
/// they are needed.
pub(crate) fn release_pages(file: &EmbeddedFile) {
    let page = rustix::param::page_size();
    let bytes = file.bytes().as_ptr_range();
    let start = (bytes.start as usize).next_multiple_of(page);
    let end = bytes.end as usize / page * page;
    if start >= end {
        return;
    }
    // SAFETY: the range consists of complete pages of an `EmbeddedFile`, which are read-only pages of
    // the binary that nothing ever writes. A later read faults the same contents in from the file.
    let released = unsafe {
        rustix::mm::madvise(
            start as *mut std::ffi::c_void,
            end - start,
            rustix::mm::Advice::LinuxDontNeed,
        )
    };
    if let Err(error) = released {
        tracing::debug!(%error, "the files of a bundled model stay in memory");
    }
}

/// Makes the process keep freed memory for reuse. Only the first call has an effect.
pub(crate) fn reuse_large_blocks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(target_env = "gnu")]
        {
            const TRIM_THRESHOLD: i32 = 512 << 20;
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let arenas = i32::try_from(2 * cores).unwrap_or(i32::MAX);
            // SAFETY: `mallopt` takes two integers and is thread-safe.
            let accepted = unsafe {
                libc::mallopt(libc::M_MMAP_MAX, 0) == 1
                    && libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD) == 1
                    && libc::mallopt(libc::M_ARENA_MAX, arenas) == 1
            };
            if !accepted {
                tracing::warn!("the allocator rejected its settings: image models run slower");
            }
        }
    });
}
