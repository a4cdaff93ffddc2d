//! How many threads the calling thread's arithmetic has, and how they wait.
//!
//! LibTorch shares out its operations on OpenMP's threads, which sleep in between: beside other
//! work on the same cores, threads that spin cost more than they gain. But to wake one takes 40
//! to 80 µs, as long as half a layer of a short text. So products by panels, which are nearly
//! all of the arithmetic there, run on a pool of rayon's, whose threads look for work a little
//! longer before they sleep and take what is left rather than a share; and what is too short to
//! share out is not. A text of 8 tokens in ViT-B/32 on 2 cores: 17 ms before, 13 to 15 so, and with
//! weights in large pages 12 to 13 (`tests/README.md`).
#![allow(unsafe_code)]

use std::cell::{Cell, OnceCell};
use std::sync::Once;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

thread_local! {
    static THREADS: Cell<usize> = const { Cell::new(1) };
    /// `None` where one thread is all there is. What rayon keeps of it, some kilobytes, outlives
    /// the thread; its threads do not.
    static POOL: OnceCell<Option<ThreadPool>> = const { OnceCell::new() };
}

// LibTorch's own number is the whole process's, and slower to set.
unsafe extern "C" {
    fn omp_set_num_threads(threads: i32);
}

/// The thread that runs a model calls it first of all: the numbers are kept per thread.
pub(crate) fn use_threads(threads: usize) {
    static INTEROP: Once = Once::new();
    // LibTorch takes this number once a process; one graph runs at a time here.
    INTEROP.call_once(|| tch::set_num_interop_threads(1));
    // A thread's first call gives it the number of whichever set one last.
    tch::get_num_threads();
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX).max(1));
    THREADS.set(threads);
}

/// Runs every part below `parts`, on the threads that the calling one was given.
pub(crate) fn share_out(parts: usize, run: impl Fn(usize) + Send + Sync) {
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

/// Runs something of LibTorch's that takes about so many multiplications and additions, on one
/// thread if they are few: LibTorch shares out two rows of a layer norm and two heads of an
/// attention, however short.
pub(crate) fn sized<T>(operations: i64, run: impl FnOnce() -> T) -> T {
    /// Some 100 µs.
    const SHORT: i64 = 1 << 21;

    struct Given(i32);

    impl Drop for Given {
        fn drop(&mut self) {
            // SAFETY: it sets a number of this thread's and nothing else.
            unsafe { omp_set_num_threads(self.0) };
        }
    }

    if operations > SHORT {
        return run();
    }
    let _given = Given(tch::get_num_threads());
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
                    share_out(parts, |part| {
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
    fn short_work_has_one_thread_and_leaves_the_number_as_it_was() {
        std::thread::spawn(|| {
            use_threads(3);
            assert_eq!(sized(1 << 10, tch::get_num_threads), 1);
            assert_eq!(sized(1 << 30, tch::get_num_threads), 3);
            let panicked = std::panic::catch_unwind(|| sized(0, || panic!("in between")));
            assert!(panicked.is_err());
            assert_eq!(tch::get_num_threads(), 3);
        })
        .join()
        .unwrap();
    }
}
