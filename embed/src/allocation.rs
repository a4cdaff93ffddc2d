//! glibc's allocator, set so that large tensors are reused, and few copies of them are kept.
//!
//! By default each large tensor is a mapping of its own that goes back to the kernel
//! when it is freed, so that every operation faults its pages in again: a depthwise
//! convolution takes six times as long. LibTorch calls `malloc` itself, which a Rust
//! global allocator does not reach.
//!
//! What is freed is kept by the arena that it came from, of which glibc makes eight a core: each
//! grows to the largest that any thread of it ever needed. Two a core bound that.
#![allow(unsafe_code)]

use std::sync::Once;

/// Gives the kernel what is free: what loading a model took beside its weights is not needed
/// again.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` takes an integer, touches only what is free and is thread-safe.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Keeps freed memory for reuse, for the whole process; the first call counts.
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
                tracing::warn!("the allocator refused its settings: image models run slower");
            }
        }
    });
}
