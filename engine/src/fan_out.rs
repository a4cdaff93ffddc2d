//! Runs the same work for many items in parallel, on a few threads.

use parking_lot::Mutex;

/// The most threads. The work is bound by the disk, so the number of cores does not matter.
const MOST_THREADS: usize = 8;

/// Calls `work` once for each of `all`, in parallel, and returns when every call has.
pub(crate) fn for_each<T: Send>(
    all: impl ExactSizeIterator<Item = T> + Send,
    work: impl Fn(T) + Sync,
) {
    let threads = all.len().min(MOST_THREADS);
    let all = Mutex::new(all);
    let next = || all.lock().next();
    std::thread::scope(|scope| {
        // If no thread can be spawned, this one does all the work.
        for _ in 1..threads {
            let spawned = std::thread::Builder::new().spawn_scoped(scope, || {
                while let Some(one) = next() {
                    work(one);
                }
            });
            if spawned.is_err() {
                break;
            }
        }
        while let Some(one) = next() {
            work(one);
        }
    });
}
