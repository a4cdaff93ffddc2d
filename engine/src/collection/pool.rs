//! The threads that commit writes, shared by all collections: their number follows from the cores,
//! not from the number of collections. A collection is in the queue at most once and returns to its
//! end after each group, which keeps the queue fair.
//!
//! Work that may take long (opening an index, bringing one up to date, comparing one with its
//! documents) has its own queue and never occupies all threads.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

/// Threads that long work never occupies.
const QUICK_THREADS: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// Commits a group.
    Short,
    /// May take as long as reading a complete collection.
    Long,
}

pub(crate) trait Job: Send + Sync {
    /// Does some of the pending work, only short work if `length` is `Short`. Never panics.
    fn run(self: Arc<Self>, length: Length);
}

/// Jobs that wait for a thread.
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    most_long: usize,
}

#[derive(Default)]
struct State {
    short: VecDeque<Arc<dyn Job>>,
    long: VecDeque<Arc<dyn Job>>,
    long_running: usize,
    stopping: bool,
}

/// The threads. Dropping it runs the queued jobs, then joins the threads.
pub(crate) struct Pool {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let threads = threads.max(QUICK_THREADS + 1);
        let mut pool = Self {
            queue: Arc::new(Queue {
                state: Mutex::default(),
                changed: Condvar::new(),
                most_long: threads - QUICK_THREADS,
            }),
            threads: Vec::with_capacity(threads),
        };
        for number in 0..threads {
            let queue = Arc::clone(&pool.queue);
            let thread = std::thread::Builder::new()
                .name(format!("commit-{number}"))
                .spawn(move || queue.work_until_stopped())?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.state.lock().stopping = true;
        self.queue.changed.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a commit thread panicked; acknowledged writes are safe");
            }
        }
    }
}

impl Queue {
    pub(crate) fn push(&self, job: Arc<dyn Job>, length: Length) {
        let mut state = self.state.lock();
        match length {
            Length::Short => state.short.push_back(job),
            Length::Long => state.long.push_back(job),
        }
        drop(state);
        self.changed.notify_one();
    }

    fn work_until_stopped(&self) {
        while let Some((job, length)) = self.next() {
            job.run(length);
            if length == Length::Long {
                self.state.lock().long_running -= 1;
                self.changed.notify_one();
            }
        }
    }

    /// Waits for a job; `None` once the pool stops and the queues are empty.
    fn next(&self) -> Option<(Arc<dyn Job>, Length)> {
        let mut state = self.state.lock();
        loop {
            // One thread takes long work first, so that short work never starves it.
            let long_first = state.long_running == 0;
            if (long_first || state.short.is_empty())
                && state.long_running < self.most_long
                && let Some(job) = state.long.pop_front()
            {
                state.long_running += 1;
                return Some((job, Length::Long));
            }
            if let Some(job) = state.short.pop_front() {
                return Some((job, Length::Short));
            }
            if state.stopping && state.long.is_empty() {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    struct Work(Mutex<Option<Box<dyn FnOnce() + Send>>>);

    impl Job for Work {
        fn run(self: Arc<Self>, _: Length) {
            if let Some(work) = self.0.lock().take() {
                work();
            }
        }
    }

    fn work(work: impl FnOnce() + Send + 'static) -> Arc<dyn Job> {
        Arc::new(Work(Mutex::new(Some(Box::new(work)))))
    }

    #[test]
    fn long_work_never_occupies_all_threads_and_no_job_is_lost() {
        let pool = Pool::start(4).unwrap();
        let (begun, begins) = mpsc::channel();
        let (release, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        for _ in 0..10 {
            let (gate, begun) = (Arc::clone(&gate), begun.clone());
            let wait = move || {
                begun.send(()).unwrap();
                let _ = gate.lock().recv();
            };
            pool.queue().push(work(wait), Length::Long);
        }
        begins.recv_timeout(Duration::from_secs(10)).unwrap();
        let (done, ends) = mpsc::channel();
        for _ in 0..100 {
            let done = done.clone();
            pool.queue()
                .push(work(move || done.send(()).unwrap()), Length::Short);
        }
        for _ in 0..100 {
            ends.recv_timeout(Duration::from_secs(10)).unwrap();
        }
        drop(release);
        drop(pool);
        assert_eq!(begins.try_iter().count(), 9, "all long work was done");
    }
}
