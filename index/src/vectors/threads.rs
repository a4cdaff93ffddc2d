//! The number of OpenMP threads that FAISS uses, and the priority of builds.
//!
//! LibTorch's operators run on the same OpenMP runtime. The thread count is a property of the
//! calling thread, so it is set only on threads that search or build.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::c_int;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

static SEARCH_THREADS: AtomicUsize = AtomicUsize::new(1);
static BUILD_THREADS: AtomicUsize = AtomicUsize::new(1);

/// Niceness of threads that build.
const BUILD_NICENESS: c_int = 10;

thread_local! {
    static SET_HERE: Cell<usize> = const { Cell::new(0) };
}

/// Sets how many OpenMP threads one FAISS call may use, starting with each thread's next call.
///
/// The default is one: FAISS runs a single query on a single thread in any case, so more threads
/// only cost their startup; concurrent searches use the other cores.
pub fn set_search_threads(threads: NonZeroUsize) {
    SEARCH_THREADS.store(threads.get(), Ordering::Relaxed);
}

/// Sets how many threads a background build may use, starting with the next build. They run at
/// a lower priority than all other threads of the process.
pub fn set_build_threads(threads: NonZeroUsize) {
    BUILD_THREADS.store(threads.get(), Ordering::Relaxed);
}

/// Applies the setting for searches to the calling thread; called before each FAISS operation.
pub(super) fn apply_to_this_thread() {
    set_here(SEARCH_THREADS.load(Ordering::Relaxed));
}

/// Applies the setting for builds to the calling thread.
pub(super) fn apply_build_setting() {
    set_here(BUILD_THREADS.load(Ordering::Relaxed));
}

/// Permanently lowers the calling thread's priority. OpenMP's threads inherit it.
pub(super) fn lower_priority() {
    // SAFETY: on Linux 0 names the calling thread; lowering a priority needs no privilege, and a
    // failure leaves it unchanged.
    let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, BUILD_NICENESS) };
}

fn set_here(wanted: usize) {
    SET_HERE.with(|set| {
        if set.get() != wanted {
            let threads = c_int::try_from(wanted).unwrap_or(c_int::MAX);
            // SAFETY: a function of the OpenMP API (3.2.1), linked by faiss-sys as libgomp;
            // it takes a positive number and changes the setting of the calling thread only.
            unsafe { omp_set_num_threads(threads) };
            set.set(wanted);
        }
    });
}

unsafe extern "C" {
    fn omp_set_num_threads(threads: c_int);
}
