//! The threads of a device thread's arithmetic.
//!
//! LibTorch distributes its operations over OpenMP threads, which sleep between operations: if the
//! cores have other work, spinning costs more than it gains. But waking a thread takes 40 to 80 µs,
//! as long as half a layer of a short text. Therefore products with packed weights, which are
//! nearly all of the arithmetic, run on a rayon pool, whose threads spin briefly before they sleep
//! and balance their load by work stealing. Operations that are too short run on one thread. A text
//! of 8 tokens in ViT-B/32 on 2 cores takes 13 to 15 ms this way instead of 17, and 12 to 13 with
//! weights in huge pages (`docs/benchmarks.md`).
#![allow(unsafe_code)]

use std::cell::{Cell, OnceCell};
use std::sync::Once;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

thread_local! {
    static THREADS: Cell<usize> = const { Cell::new(1) };
    /// `None` with a single thread. rayon keeps some kilobytes of the pool after the thread ends,
    /// but not the pool's threads.
    static POOL: OnceCell<Option<ThreadPool>> = const { OnceCell::new() };
}

// LibTorch's own setting applies to the whole process and is slower to change.
unsafe extern "C" {
    fn omp_set_num_threads(threads: i32);
}

/// Sets the number of threads for the arithmetic of the calling thread. A thread that runs a model
/// calls it first, because the settings are per thread.
pub fn use_threads(threads: usize) {
    static INTEROP: Once = Once::new();
    // LibTorch accepts this setting once per process; one graph at a time runs here.
    INTEROP.call_once(|| tch::set_num_interop_threads(1));
    // LibTorch initialises a thread's number at its first call; force that before setting it.
    tch::get_num_threads();
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX).max(1));
    THREADS.set(threads);
}

/// Calls `run` with every number below `parts`, on the threads of the calling thread.
pub(crate) fn parallel_for(parts: usize, run: impl Fn(usize) + Send + Sync) {
    POOL.with(|pool| match pool.get_or_init(|| pool_of(THREADS.get())) {
        Some(pool) => pool.install(|| {
            (0..parts).into_par_iter().with_max_len(1).for_each(run);
        }),
        None => (0..parts).for_each(run),
    });
}

fn pool_of(threads: usize) -> Option<ThreadPool> {
    if threads < 2 {
        return None;
    }
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|number| format!("clipdb-product-{number}"))
        .use_current_thread()
        .build()
        .inspect_err(|error| tracing::warn!(%error, "products run on one thread"))
        .ok()
}

/// Runs an operation of LibTorch, on one thread if `operations`, the approximate number of
/// multiplications and additions, is small. LibTorch itself would distribute even two rows of a
/// layer norm.
pub(crate) fn with_threads_for<T>(operations: i64, run: impl FnOnce() -> T) -> T {
    /// About 100 µs.
    const SHORT: i64 = 1 << 21;

    /// Restores the number of threads.
    struct Restore(i32);

    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: it only sets a number of the calling thread.
            unsafe { omp_set_num_threads(self.0) };
        }
    }

    if operations > SHORT {
        return run();
    }
    let _restore = Restore(tch::get_num_threads());
    // SAFETY: as above.
    unsafe { omp_set_num_threads(1) };
    run()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_part_runs_once_on_any_number_of_threads() {
        for threads in [1, 2, 3] {
            std::thread::spawn(move || {
                use_threads(threads);
                for parts in [0, 1, 2, 33] {
                    let runs: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
                    parallel_for(parts, |part| {
                        runs[part].fetch_add(1, Ordering::Relaxed);
                    });
                    assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
                }
            })
            .join()
            .unwrap();
        }
    }

    #[test]
    fn short_operations_use_one_thread_and_restore_the_number() {
        std::thread::spawn(|| {
            use_threads(3);
            assert_eq!(with_threads_for(1 << 10, tch::get_num_threads), 1);
            assert_eq!(with_threads_for(1 << 30, tch::get_num_threads), 3);
            let panicked =
                std::panic::catch_unwind(|| with_threads_for(0, || panic!("on purpose")));
            assert!(panicked.is_err());
            assert_eq!(tch::get_num_threads(), 3);
        })
        .join()
        .unwrap();
    }
}
