//! How many OpenMP threads FAISS may use.
//!
//! LibTorch's operators run on the same OpenMP runtime. Its thread count is a property of
//! the calling thread, so it is set on the threads that search and on no others.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::c_int;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

static SEARCH_THREADS: AtomicUsize = AtomicUsize::new(1);

thread_local! {
    static SET_HERE: Cell<usize> = const { Cell::new(0) };
}

/// Sets how many OpenMP threads one FAISS call may use, from each thread's next call on.
///
/// The default is one: FAISS runs a single query on a single thread whatever this says, so
/// more threads only cost their start; concurrent searches use the other cores.
pub fn set_search_threads(threads: NonZeroUsize) {
    SEARCH_THREADS.store(threads.get(), Ordering::Relaxed);
}

/// Applies the setting to the calling thread; called before each FAISS operation.
pub(super) fn apply_to_this_thread() {
    let wanted = SEARCH_THREADS.load(Ordering::Relaxed);
    SET_HERE.with(|set| {
        if set.get() != wanted {
            let threads = c_int::try_from(wanted).unwrap_or(c_int::MAX);
            // SAFETY: a function of the OpenMP API (3.2.1), linked by faiss-sys as libgomp;
            // it takes a positive number and changes only the calling thread's setting.
            unsafe { omp_set_num_threads(threads) };
            set.set(wanted);
        }
    });
}

unsafe extern "C" {
    fn omp_set_num_threads(threads: c_int);
}
