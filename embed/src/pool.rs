//! The threads beside the device: they decode images and make tokens.
//!
//! Images that cost much have threads and turns of their own, so that a small one never waits
//! for a large one, whoever sent it. One thread of each kind is always left to searches. All
//! decoding together stays under a ceiling of memory, of which a part is kept for small images.
//! Work that nobody waits for any more is not begun, and ends soon where it has.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::image::Wanted;
use crate::{EmbedError, Priority};

/// The unit of the memory ceiling: semaphores count in 32 bits.
const UNIT: u64 = 1024;
/// Of the memory ceiling, what heavy work leaves to light: one part in so many.
const LIGHT_SHARE: u64 = 8;

/// What a piece of work costs, by what is known before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    Light,
    Heavy,
}

pub(crate) struct Pool {
    light: Threads,
    heavy: Threads,
    memory: Memory,
}

/// Leave to occupy a thread, until it is dropped.
pub(crate) struct Turn {
    _permits: [Option<OwnedSemaphorePermit>; 2],
}

/// Bytes reserved for a decode.
pub(crate) struct Reservation {
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// `threads` for light work, half as many for heavy, and no less than two of each: they may be
    /// more than there are cores, among which the system shares fairly.
    pub fn new(threads: usize, memory: u64) -> Result<Self, EmbedError> {
        let threads = threads.max(2);
        Ok(Self {
            light: Threads::start(threads, "clipdb-pixels")?,
            heavy: Threads::start((threads / 2).max(2), "clipdb-heavy")?,
            memory: Memory::new(memory),
        })
    }

    /// Waits for leave to [`run`](Self::run). Light work for searches needs none.
    pub async fn turn(&self, weight: Weight, priority: Priority) -> Result<Turn, EmbedError> {
        let ingest = match priority {
            Priority::Search => None,
            Priority::Ingest => Some(take(&self.threads(weight).ingest, 1).await?),
        };
        let all = match weight {
            Weight::Light => None,
            Weight::Heavy => Some(take(&self.heavy.all, 1).await?),
        };
        Ok(Turn {
            _permits: [ingest, all],
        })
    }

    /// What work is that takes so much memory, and that is `quick` otherwise.
    pub fn weight(&self, bytes: u64, quick: bool) -> Weight {
        if quick && bytes <= self.memory.for_light() {
            Weight::Light
        } else {
            Weight::Heavy
        }
    }

    /// Waits until `bytes` fit under the ceiling beside what is reserved already. Only
    /// those with a turn wait, so a search waits for the decodes under way at most.
    pub async fn reserve(&self, weight: Weight, bytes: u64) -> Result<Reservation, EmbedError> {
        let permit = self.memory.take(weight, bytes).await?;
        Ok(Reservation { _permit: permit })
    }

    /// Runs `job` on a thread of the pool; not at all when its caller is gone by then. It learns
    /// whether its caller is still there. A panic is that job's error.
    pub async fn run<T: Send + 'static>(
        &self,
        weight: Weight,
        during: &'static str,
        job: impl FnOnce(Wanted<'_>) -> Result<T, EmbedError> + Send + 'static,
    ) -> Result<T, EmbedError> {
        let threads = self.threads(weight).pool.as_ref();
        let threads = threads.ok_or(EmbedError::Stopped)?;
        let (reply, answer) = oneshot::channel();
        let span = tracing::info_span!("preprocess", during);
        threads.spawn_fifo(move || {
            if reply.is_closed() {
                return;
            }
            let _span = span.entered();
            let wanted = || !reply.is_closed();
            let result = catch_unwind(AssertUnwindSafe(|| job(&wanted)))
                .unwrap_or_else(|payload| Err(EmbedError::panicked(during, &*payload)));
            // Nobody waiting any more is no error.
            let _ = reply.send(result);
        });
        answer.await.unwrap_or(Err(EmbedError::Stopped))
    }

    pub fn reserved_bytes(&self) -> u64 {
        self.memory.reserved()
    }

    fn threads(&self, weight: Weight) -> &Threads {
        match weight {
            Weight::Light => &self.light,
            Weight::Heavy => &self.heavy,
        }
    }
}

struct Threads {
    pool: Option<rayon::ThreadPool>,
    handles: Vec<JoinHandle<()>>,
    /// One for each thread.
    all: Arc<Semaphore>,
    /// One less.
    ingest: Arc<Semaphore>,
}

impl Threads {
    fn start(count: usize, name: &'static str) -> Result<Self, EmbedError> {
        let mut handles = Vec::with_capacity(count);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(count)
            .spawn_handler(|thread| {
                let handle = std::thread::Builder::new()
                    .name(format!("{name}-{}", thread.index()))
                    .spawn(|| thread.run())?;
                handles.push(handle);
                Ok(())
            })
            .build()
            .map_err(|error| EmbedError::Panicked {
                during: "starting the decoding threads",
                reason: error.to_string(),
            })?;
        Ok(Self {
            pool: Some(pool),
            handles,
            all: Arc::new(Semaphore::new(count)),
            ingest: Arc::new(Semaphore::new(count - 1)),
        })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Tells the threads to end once they are done; then each is waited for.
        drop(self.pool.take());
        for handle in self.handles.drain(..) {
            // Jobs cannot panic, so neither can the thread.
            let _ = handle.join();
        }
    }
}

/// In units.
struct Memory {
    /// For all work, in the order of its coming.
    common: Arc<Semaphore>,
    /// For light work that would have to wait for heavy.
    kept: Arc<Semaphore>,
    common_units: u32,
    kept_units: u32,
}

impl Memory {
    fn new(bytes: u64) -> Self {
        let units = |bytes: u64| u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(1);
        let (kept, all) = (units(bytes / LIGHT_SHARE), units(bytes));
        let common = (all - kept).max(1);
        Self {
            common: Arc::new(Semaphore::new(common as usize)),
            kept: Arc::new(Semaphore::new(kept as usize)),
            common_units: common,
            kept_units: kept,
        }
    }

    fn for_light(&self) -> u64 {
        u64::from(self.kept_units) * UNIT
    }

    async fn take(&self, weight: Weight, bytes: u64) -> Result<OwnedSemaphorePermit, EmbedError> {
        let fits = |units: &u32| *units <= self.common_units;
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok().filter(fits);
        let Some(units) = units else {
            return Err(EmbedError::DecodeMemory {
                needed: bytes,
                ceiling: u64::from(self.common_units) * UNIT,
            });
        };
        if weight == Weight::Heavy || units > self.kept_units {
            return take(&self.common, units).await;
        }
        tokio::select! {
            biased;
            permit = take(&self.common, units) => permit,
            permit = take(&self.kept, units) => permit,
        }
    }

    fn reserved(&self) -> u64 {
        let free = self.common.available_permits() + self.kept.available_permits();
        let all = u64::from(self.common_units) + u64::from(self.kept_units);
        all.saturating_sub(free as u64) * UNIT
    }
}

async fn take(from: &Arc<Semaphore>, permits: u32) -> Result<OwnedSemaphorePermit, EmbedError> {
    let permit = Arc::clone(from).acquire_many_owned(permits).await;
    permit.map_err(|_| EmbedError::Stopped)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_pool_goes_on() {
        let pool = Pool::new(2, 1 << 20).unwrap();
        for weight in [Weight::Light, Weight::Heavy] {
            let result: Result<(), _> = pool.run(weight, "testing", |_| panic!("on purpose")).await;
            let error = result.unwrap_err().to_string();
            assert!(
                error.contains("testing") && error.contains("on purpose"),
                "{error}"
            );
            assert_eq!(pool.run(weight, "testing", |_| Ok(7)).await.unwrap(), 7);
        }
    }

    #[tokio::test]
    async fn memory_has_a_ceiling() {
        let pool = Pool::new(2, 1 << 20).unwrap();
        let first = pool.reserve(Weight::Heavy, 600 << 10).await.unwrap();
        assert_eq!(pool.reserved_bytes(), 600 << 10);
        let second = pool.reserve(Weight::Heavy, 600 << 10);
        assert!(tokio::time::timeout(SOON, second).await.is_err());
        drop(first);
        assert!(pool.reserve(Weight::Heavy, 600 << 10).await.is_ok());
        assert!(matches!(
            pool.reserve(Weight::Heavy, 900 << 10).await,
            Err(EmbedError::DecodeMemory { .. })
        ));
    }

    #[tokio::test]
    async fn light_work_finds_memory_that_heavy_leaves() {
        let pool = Pool::new(2, 1 << 20).unwrap();
        assert_eq!(pool.weight(128 << 10, true), Weight::Light);
        assert_eq!(pool.weight(129 << 10, true), Weight::Heavy);
        assert_eq!(pool.weight(1, false), Weight::Heavy);
        let _all = pool.reserve(Weight::Heavy, 896 << 10).await.unwrap();
        let waiting = pool.reserve(Weight::Heavy, 1 << 10);
        assert!(tokio::time::timeout(SOON, waiting).await.is_err());
        let light = pool.reserve(Weight::Light, 128 << 10).await.unwrap();
        let more = pool.reserve(Weight::Light, 1 << 10);
        assert!(tokio::time::timeout(SOON, more).await.is_err());
        assert_eq!(pool.reserved_bytes(), 1 << 20);
        drop(light);
        // Where there is no heavy work, light work has all of it.
        drop(_all);
        let _first = pool.reserve(Weight::Light, 128 << 10).await.unwrap();
        let _second = pool.reserve(Weight::Light, 128 << 10).await.unwrap();
        assert!(pool.reserve(Weight::Light, 128 << 10).await.is_ok());
    }

    #[tokio::test]
    async fn ingest_leaves_a_thread_of_each_kind_to_searches() {
        let pool = Pool::new(2, 1 << 20).unwrap();
        for weight in [Weight::Light, Weight::Heavy] {
            let _ingest = pool.turn(weight, Priority::Ingest).await.unwrap();
            let second = pool.turn(weight, Priority::Ingest);
            assert!(tokio::time::timeout(SOON, second).await.is_err());
            assert!(pool.turn(weight, Priority::Search).await.is_ok());
        }
        let _two = [
            pool.turn(Weight::Heavy, Priority::Search).await.unwrap(),
            pool.turn(Weight::Heavy, Priority::Search).await.unwrap(),
        ];
        let third = pool.turn(Weight::Heavy, Priority::Search);
        assert!(tokio::time::timeout(SOON, third).await.is_err());
        assert!(pool.turn(Weight::Light, Priority::Ingest).await.is_ok());
    }

    #[tokio::test]
    async fn light_work_passes_heavy() {
        let pool = Arc::new(Pool::new(2, 1 << 20).unwrap());
        let over = Arc::new(AtomicBool::new(false));
        let mut heavy = Vec::new();
        for _ in 0..4 {
            let (pool, over) = (Arc::clone(&pool), Arc::clone(&over));
            heavy.push(tokio::spawn(async move {
                let wait = move |_: Wanted<'_>| {
                    while !over.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    Ok(())
                };
                pool.run(Weight::Heavy, "testing", wait).await
            }));
        }
        tokio::time::sleep(SOON).await;
        assert!(pool.run(Weight::Light, "testing", |_| Ok(())).await.is_ok());
        over.store(true, Ordering::Relaxed);
        for job in heavy {
            job.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn work_learns_that_its_caller_is_gone() {
        let pool = Pool::new(2, 1 << 20).unwrap();
        let (begun, ended) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let (tell_begun, tell_ended) = (Arc::clone(&begun), Arc::clone(&ended));
        let job = pool.run(Weight::Light, "testing", move |wanted| {
            tell_begun.store(true, Ordering::Relaxed);
            while wanted() {
                std::thread::sleep(Duration::from_millis(1));
            }
            tell_ended.store(true, Ordering::Relaxed);
            Ok(())
        });
        assert!(tokio::time::timeout(SOON, job).await.is_err());
        while !ended.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(begun.load(Ordering::Relaxed));
    }
}
