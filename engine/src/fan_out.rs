//! The same work on many things at once, on a few threads.

use parking_lot::Mutex;

/// Threads at most: the work waits for the disk.
const MOST_THREADS: usize = 8;

/// Does `work` with each, on a few threads: most of it waits for the disk.
pub(crate) fn for_each<T: Send>(
    all: impl ExactSizeIterator<Item = T> + Send,
    work: impl Fn(T) + Sync,
) {
    let threads = all.len().min(MOST_THREADS);
    let all = Mutex::new(all);
    let next = || all.lock().next();
    std::thread::scope(|scope| {
        // Where no thread is to be had, this one does all.
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
